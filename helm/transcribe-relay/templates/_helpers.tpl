{{/* Names, labels and the settings that more than one template needs. */}}

{{- define "transcribe-relay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 50 characters at most: suffixes are added to it. */}}
{{- define "transcribe-relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "transcribe-relay.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "transcribe-relay.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What never changes: Services, policies and the Deployment select by it. Called with (list context component). */}}
{{- define "transcribe-relay.selectorLabels" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "transcribe-relay.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Called with (list context component). */}}
{{- define "transcribe-relay.labels" -}}
{{- $ := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "transcribe-relay.selectorLabels" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
{{- with $.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of pods, without versions: a new chart with the same image and settings must not restart them. */}}
{{- define "transcribe-relay.podLabels" -}}
{{ include "transcribe-relay.selectorLabels" . }}
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "transcribe-relay.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The relay's configuration file: what is set in `config`, and the emulator if there is one. */}}
{{- define "transcribe-relay.config" -}}
{{- $config := dict -}}
{{- range $key, $value := .Values.config -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $config $key $value -}}
{{- end -}}
{{- end -}}
{{- if .Values.emulator.enabled -}}
{{- $_ := set $config "endpoint" (printf "ws://%s-emulator:%d" (include "transcribe-relay.fullname" .) 8443) -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $config "tlsCertFile" "/etc/transcribe-relay-tls/tls.crt" -}}
{{- $_ := set $config "tlsKeyFile" "/etc/transcribe-relay-tls/tls.key" -}}
{{- end -}}
{{- toPrettyJson $config -}}
{{- end -}}

{{/* Where processes beside the relay listen: on every address of the pod, IPv6 as well where the relay does. */}}
{{- define "transcribe-relay.everyAddress" -}}
{{- if contains ":" (default "" .Values.config.host) -}}::{{- else -}}0.0.0.0{{- end -}}
{{- end -}}

{{/* How clients speak to the relay. */}}
{{- define "transcribe-relay.scheme" -}}
{{- if or .Values.tls.existingSecret .Values.config.tlsCertFile -}}wss{{- else -}}ws{{- end -}}
{{- end -}}

{{/* The Service, as the chart's own clients reach it. */}}
{{- define "transcribe-relay.serviceUrl" -}}
{{- printf "%s://%s:%d/v1/stream" (include "transcribe-relay.scheme" .) (include "transcribe-relay.fullname" .) (int64 .Values.service.port) -}}
{{- end -}}

{{/* How clients speak to the Ingress: its TLS stands in its own field, or in annotations of the AWS Load Balancer Controller. */}}
{{- define "transcribe-relay.ingressScheme" -}}
{{- $tls := not (empty .Values.ingress.tls) -}}
{{- range $key, $value := .Values.ingress.annotations -}}
{{- if or (hasSuffix "/certificate-arn" $key) (and (hasSuffix "/listen-ports" $key) (contains "HTTPS" $value)) -}}
{{- $tls = true -}}
{{- end -}}
{{- end -}}
{{- if $tls -}}wss{{- else -}}ws{{- end -}}
{{- end -}}

{{/* Milliseconds for closing handshakes; the relay's own default if not set. */}}
{{- define "transcribe-relay.clientCloseMs" -}}
{{- int64 (default 16000 .Values.config.clientCloseTimeoutMs) -}}
{{- end -}}

{{/* Seconds that stopping can take: the wait for load balancers, the drain, its spread, the last results, and the closing handshakes. */}}
{{- define "transcribe-relay.stopSeconds" -}}
{{- $config := .Values.config -}}
{{- $closeMs := include "transcribe-relay.clientCloseMs" . | int64 -}}
{{- $ms := add (int64 $config.drainTimeoutMs) (int64 $config.drainSpreadMs) (int64 $config.flushTimeoutMs) $closeMs -}}
{{- add (int64 .Values.preStopSeconds) (div (add $ms 999) 1000) 4 -}}
{{- end -}}

{{- define "transcribe-relay.gracePeriodSeconds" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- include "transcribe-relay.stopSeconds" . -}}
{{- else -}}
{{- int64 .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}

{{/* Not empty: clients may show who they are in this way. Called with (list context way). */}}
{{- define "transcribe-relay.authHolds" -}}
{{- $auth := (index . 0).Values.config.auth | default (list "none") -}}
{{- if kindIs "string" $auth -}}
{{- $auth = splitList "," $auth -}}
{{- end -}}
{{- if has (index . 1) $auth -}}
yes
{{- end -}}
{{- end -}}

{{/* Not empty: clients need not show who they are. */}}
{{- define "transcribe-relay.letsAnybodyIn" -}}
{{- include "transcribe-relay.authHolds" (list . "none") -}}
{{- end -}}

{{/* Not empty: what takes the relay out of the cluster. */}}
{{- define "transcribe-relay.exposedBy" -}}
{{- if .Values.ingress.enabled -}}
ingress.enabled
{{- else if .Values.httpRoute.enabled -}}
httpRoute.enabled
{{- else if ne .Values.service.type "ClusterIP" -}}
service.type {{ .Values.service.type }}
{{- end -}}
{{- end -}}

{{/* Sessions a pod to scale by; 0: not by sessions. */}}
{{- define "transcribe-relay.sessionsPerPod" -}}
{{- if kindIs "invalid" .Values.autoscaling.sessionsPerPod -}}
{{- max 1 (div (mul (int64 .Values.config.maxSessions) 60) 100) -}}
{{- else -}}
{{- int64 .Values.autoscaling.sessionsPerPod -}}
{{- end -}}
{{- end -}}

{{/* The least pods there will be. */}}
{{- define "transcribe-relay.minReplicas" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- int64 .Values.autoscaling.minReplicas -}}
{{- else -}}
{{- int64 .Values.replicaCount -}}
{{- end -}}
{{- end -}}

{{/* The most pods there will be. */}}
{{- define "transcribe-relay.maxReplicas" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- int64 .Values.autoscaling.maxReplicas -}}
{{- else -}}
{{- int64 .Values.replicaCount -}}
{{- end -}}
{{- end -}}

{{/* What every pod of the chart has in common. */}}
{{- define "transcribe-relay.podBasics" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The token that the chart's own clients show, as environment. */}}
{{- define "transcribe-relay.clientToken" -}}
{{- with .Values.auth.clientTokenSecret -}}
env:
  - name: TRANSCRIBE_TOKEN
    valueFrom:
      secretKeyRef:
        name: {{ . }}
        key: token
{{- end }}
{{- end -}}
