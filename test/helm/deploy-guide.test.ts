/** The guides of the chart, docs/deploy-eks.md and docs/authentication.md: what they do with the chart can be done, and what they name exists. */
import { existsSync, readFileSync } from 'node:fs'
import { load } from 'js-yaml'
import t from 'tap'
import { resolveOptions } from '../../src/config/resolve.ts'
import { ERROR_CODES } from '../../src/errors.ts'
import { CHART, find, hasHelm, NEWEST, relayConfig, relayPod, render, runHelm } from '../support/chart.ts'
import { runCli } from '../support/cli.ts'

const guide = readFileSync('docs/deploy-eks.md', 'utf8')
const guides = `${guide}\n${readFileSync('docs/authentication.md', 'utf8')}`
const shell = [...guides.matchAll(/```sh\n(.*?)```/gs)].map(([, code = '']) => code.replaceAll('\\\n', ' '))
const commands = shell.flatMap(code => code.split('\n'))
const chartCommands = commands.filter(command =>
  /^helm (install|upgrade) .*helm\/transcribe-relay/.test(command),
)

/** The words of a command, with the variables of the guide filled in. */
function wordsOf(command: string): readonly string[] {
  const filled = command.replaceAll(/\$\w+/g, 'value')
  return [...filled.matchAll(/'[^']*'|\S+/g)].map(([word]) =>
    word.replaceAll("'", '').replaceAll('\\\\', '\\'),
  )
}

t.test('every file that a command names is there', async t => {
  const paths = commands.flatMap(command => command.match(/\b(?:helm|examples)\/[\w./-]+/g) ?? [])
  t.ok(paths.length > 5)
  for (const path of paths) t.ok(existsSync(path), path)
})

t.test('every command of the relay is one that it understands', async t => {
  const ours = commands.filter(command => command.includes('transcribe-relay stream'))
  t.ok(ours.length >= 2)
  for (const command of ours) {
    const [, , ...words] = wordsOf(command)
    const { code, stdout } = await runCli([...words, '--help'])
    t.equal(code, 0, command)
    for (const flag of words.filter(word => word.startsWith('--'))) t.match(stdout, flag, flag)
  }
})

t.test('the codes of the table are in the catalogue', async t => {
  const codes = [...guide.matchAll(/^\| `(\w+)`/gm)]
    .map(([, code = '']) => code)
    .filter(code => code.includes('_'))
  t.ok(codes.length > 2)
  for (const code of codes) t.ok((ERROR_CODES as readonly string[]).includes(code), code)
})

t.test('the controller is of the version that its policy is for', async t => {
  const [, policy] = /aws-load-balancer-controller\/v2\.([\d.]+)\//.exec(guide) ?? []
  const [, chart] =
    /eks\/aws-load-balancer-controller .*--version 1\.([\d.]+) /.exec(commands.join('\n')) ?? []
  t.ok(policy)
  t.equal(chart, policy, 'chart 1.x.y brings version 2.x.y')
})

t.test('every network in a command is that of the cluster which the guide makes', async t => {
  const networks = chartCommands.flatMap(command => command.match(/\b[\d.]+\/\d+\b/g) ?? [])
  t.ok(networks.length > 4)
  for (const network of networks) t.equal(network, '192.168.0.0/16', 'the one that eksctl takes')
})

if (hasHelm(t)) {
  t.test('helm takes the chart with the values of each command', async t => {
    t.ok(chartCommands.length >= 5)
    for (const command of chartCommands) {
      const words = wordsOf(command)
      const values = words.flatMap((word, index) =>
        /^--(values|set|set-string|set-json)$/.test(word) ? [word, words[index + 1] ?? ''] : [],
      )
      const { ok, stderr } = runHelm(['template', 'relay', CHART, '--kube-version', NEWEST, ...values])
      t.ok(ok, `${command}: ${stderr}`)
    }
  })

  t.test('no command of the guide turns an autoscaler on for a release that runs without', async t => {
    const installs = chartCommands.filter(command => command.includes('examples/eks-'))
    t.ok(installs.length >= 3)
    for (const command of installs) {
      const files = [...command.matchAll(/--values (\S+)/g)].map(([, file = '']) => file)
      t.ok(find(render({ files }), 'HorizontalPodAutoscaler'), command)
    }
    for (const command of chartCommands) t.notMatch(command, 'autoscaling.enabled=', command)
    const wanted = /autoscaling\.sessionsPerPod=([1-9]\d*)/.exec(chartCommands.join('\n'))?.[1]
    t.equal(Number(wanted), resolveOptions().options.maxSessions * 0.6)
  })

  t.test('helm takes the values that turn traces on', async t => {
    const operations = readFileSync('docs/operations.md', 'utf8')
    const [, yaml = ''] = /\n## Traces\n.*?```yaml\n(.*?)```/s.exec(operations) ?? []
    const values = load(yaml) as Readonly<Record<string, unknown>>
    const manifests = render({ values })
    t.equal(relayConfig(manifests)['tracing'], true)
    const names = (relayPod(manifests).container.env ?? []).map(({ name }) => name)
    t.ok(names.includes('OTEL_EXPORTER_OTLP_ENDPOINT'))
    t.match(JSON.stringify(find(manifests, 'NetworkPolicy')), '"port":4318')
  })

  t.test('the grace periods in the text are those of the chart', async t => {
    const files = [`${CHART}/examples/eks-pod-identity.yaml`]
    t.match(guide, `${relayPod(render({})).pod.terminationGracePeriodSeconds} s by default`)
    t.match(guide, `${relayPod(render({ files })).pod.terminationGracePeriodSeconds} s with the\nALB profile`)
    t.match(guide, '0/600')
    t.equal(resolveOptions().options.maxSessions * 0.6, 600)
  })
} else t.pass('left out: see render.test.ts')
