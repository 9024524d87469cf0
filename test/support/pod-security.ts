/**
 * The rules of the Pod Security Standard *restricted* (kubernetes.io, Pod Security Standards, which holds those of *baseline*
 * too).
 */
import type { Container, PodSpec } from './chart.ts'

const ALLOWED_VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]
const SECCOMP_TYPES = ['RuntimeDefault', 'Localhost']

type Fields = Readonly<Record<string, unknown>>

/** The rules that a pod breaks, in words. */
export function podSecurityProblems(pod: PodSpec): readonly string[] {
  const problems: string[] = []
  const context = pod.securityContext ?? {}
  for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) if (pod[field] === true) problems.push(field)
  for (const volume of pod.volumes ?? []) {
    const types = Object.keys(volume).filter(key => key !== 'name')
    if (types.some(type => !ALLOWED_VOLUMES.includes(type))) problems.push(`volume ${types.join()}`)
  }
  if (context['sysctls'] !== undefined) problems.push('sysctls')
  for (const container of [...pod.containers, ...(pod.initContainers ?? [])]) {
    problems.push(...containerProblems(container, context).map(problem => `${container.name}: ${problem}`))
  }
  return problems
}

function containerProblems(container: Container, pod: Fields): readonly string[] {
  const own: Fields = container.securityContext ?? {}
  const effective: Fields = { ...pod, ...own }
  const capabilities = (own['capabilities'] ?? {}) as { readonly add?: string[]; readonly drop?: string[] }
  const seccomp = (effective['seccompProfile'] ?? {}) as { readonly type?: string }
  const problems: string[] = []
  const must = (holds: boolean, problem: string): void => void (holds || problems.push(problem))
  must(own['privileged'] !== true, 'privileged')
  must(own['allowPrivilegeEscalation'] === false, 'allowPrivilegeEscalation')
  must(effective['runAsNonRoot'] === true, 'runAsNonRoot')
  must(effective['runAsUser'] !== 0, 'runAsUser 0')
  must(SECCOMP_TYPES.includes(seccomp.type ?? ''), 'seccompProfile')
  must(capabilities.drop?.includes('ALL') === true, 'capabilities.drop')
  must(
    (capabilities.add ?? []).every(name => name === 'NET_BIND_SERVICE'),
    'capabilities.add',
  )
  must(own['procMount'] === undefined || own['procMount'] === 'Default', 'procMount')
  must(
    (container.ports ?? []).every(port => port.hostPort === undefined),
    'hostPort',
  )
  return problems
}
