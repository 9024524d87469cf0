{{/* What a schema cannot say: values that contradict each other are refused, with what to do. */}}
{{- define "transcribe-relay.check" -}}
{{- $v := .Values -}}
{{- $needed := include "transcribe-relay.stopSeconds" . | int64 -}}
{{- $grace := include "transcribe-relay.gracePeriodSeconds" . | int64 -}}
{{- if lt $grace $needed -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, must be at least %d: preStopSeconds %d + config.drainTimeoutMs %d ms + config.drainSpreadMs %d ms + config.flushTimeoutMs %d ms + config.clientCloseTimeoutMs %d ms + 4. Leave it out, or shorten the drain." $grace $needed (int64 $v.preStopSeconds) (int64 $v.config.drainTimeoutMs) (int64 $v.config.drainSpreadMs) (int64 $v.config.flushTimeoutMs) (include "transcribe-relay.clientCloseMs" . | int64)) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled $v.keda.enabled -}}
{{- fail "autoscaling.enabled and keda.enabled are both true: two autoscalers would fight. Choose one." -}}
{{- end -}}
{{- if or $v.autoscaling.enabled $v.keda.enabled -}}
{{- if gt (int64 $v.autoscaling.minReplicas) (int64 $v.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas is %d, must be at most autoscaling.maxReplicas, %d." (int64 $v.autoscaling.minReplicas) (int64 $v.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- $sessions := include "transcribe-relay.sessionsPerPod" . | int64 -}}
{{- if gt $sessions (int64 $v.config.maxSessions) -}}
{{- fail (printf "autoscaling.sessionsPerPod is %d, must be at most config.maxSessions, %d, or it is never reached." $sessions (int64 $v.config.maxSessions)) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (eq $sessions 0) (eq (int64 $v.autoscaling.cpuPercent) 0) -}}
{{- fail "autoscaling.sessionsPerPod and autoscaling.cpuPercent are both 0: there is nothing to scale by." -}}
{{- end -}}
{{- if and $v.keda.enabled (eq $sessions 0) -}}
{{- fail "autoscaling.sessionsPerPod is 0, but keda scales by sessions." -}}
{{- end -}}
{{- end -}}
{{- if and $v.keda.enabled (not $v.keda.prometheusAddress) -}}
{{- fail "keda.prometheusAddress is empty; keda needs the address of Prometheus." -}}
{{- end -}}
{{- if eq (int64 $v.config.port) (int64 $v.config.opsPort) -}}
{{- fail (printf "config.opsPort is %d, must differ from config.port." (int64 $v.config.opsPort)) -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) -}}
{{- fail "ingress.hosts is empty; name at least one host." -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty; name the Gateway." -}}
{{- end -}}
{{- $anybody := include "transcribe-relay.letsAnybodyIn" . -}}
{{- $exposed := include "transcribe-relay.exposedBy" . -}}
{{- if and $anybody (not $v.config.insecure) -}}
{{- fail "config.insecure is false, but config.auth lets anybody in: the relay would not start. Set config.auth to keys or jwt (docs/authentication.md)." -}}
{{- end -}}
{{- $mostPods := include "transcribe-relay.maxReplicas" . | int64 -}}
{{- if and (include "transcribe-relay.authHolds" (list . "tokens")) (not $v.config.tokenSecretFile) (gt $mostPods 1) -}}
{{- fail (printf "config.tokenSecretFile is not set, but config.auth holds tokens and there can be %d pods: each would take only tokens of its own. Put the secret into auth.existingSecret and name its file (docs/authentication.md)." $mostPods) -}}
{{- end -}}
{{- if and $anybody $exposed (not $v.exposeWithoutAuth) -}}
{{- fail (printf "%s takes the relay out of the cluster, but clients need not show who they are: whoever finds it streams at the cost of your AWS account. Set config.insecure to false and config.auth to keys or jwt (docs/authentication.md), or exposeWithoutAuth to true where something in front of it authenticates." $exposed) -}}
{{- end -}}
{{- if and $v.metrics.serviceMonitor.enabled $v.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both true: everything would be counted twice. Choose one." -}}
{{- end -}}
{{- if $v.tls.existingSecret -}}
{{- if or $v.config.tlsCertFile $v.config.tlsKeyFile -}}
{{- fail "config.tlsCertFile or config.tlsKeyFile is set, but tls.existingSecret brings its own. Choose one." -}}
{{- end -}}
{{- if $v.config.proxyProtocol -}}
{{- fail "tls.existingSecret is set, but the header of config.proxyProtocol would have to come before TLS. Choose one." -}}
{{- end -}}
{{- end -}}
{{- if and $v.canary.enabled (not $v.canary.url) (eq "wss" (include "transcribe-relay.scheme" .)) -}}
{{- fail "canary.url is empty, but the relay speaks TLS, and the name of the Service is hardly in its certificate: the canary would fail for ever. Set it to the address that clients use." -}}
{{- end -}}
{{- if $v.emulator.enabled -}}
{{- if $v.config.endpoint -}}
{{- fail "config.endpoint is set, but emulator.enabled makes the relay use the emulator. Choose one." -}}
{{- end -}}
{{- if $v.config.regions -}}
{{- fail "config.regions is set, but emulator.enabled makes the relay use the emulator. Choose one." -}}
{{- end -}}
{{- if $v.aws.existingSecret -}}
{{- fail "aws.existingSecret is set, but the emulator knows only its own public key. Choose one." -}}
{{- end -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) $v.serviceAccount.annotations -}}
{{- fail "serviceAccount.annotations are set, but serviceAccount.create is false: nothing would carry them." -}}
{{- end -}}
{{- end -}}
