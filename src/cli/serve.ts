/**
 * `transcribe-relay serve`: the relay, until it is stopped.
 */
import type { RelayOptions } from '../config/options.ts'
import type { Command, CommandContext } from './command.ts'
import { CONFIG_ROW as CONFIG_EXIT_ROW, EXIT_FAILURE, EXIT_OK, FORCED_ROWS, USAGE_ROW } from './exit-codes.ts'
import { HELP_ROW } from './arguments.ts'
import type { HelpPage } from './help.ts'
import { loggedService } from './logged-service.ts'
import {
  CONFIG_ROW,
  parseRelayArguments,
  relayOptionSections,
  resolveRelayOptions,
} from './relay-arguments.ts'
import { runService } from './service-loop.ts'
import { countWorkersHere, runPrimary } from './workers/primary.ts'

const help: HelpPage = {
  command: 'serve',
  summary: 'run the relay',
  usage: ['serve [options]'],
  purpose: [
    'Listens for clients on one port and for probes and metrics on another. Each client that opens a WebSocket at /v1/stream gets a stream to Amazon Transcribe of its own. AWS credentials and region are found as the AWS tools find them (environment, profile, web identity, container, instance).',
    'Every option is a flag, a variable and a key of the configuration file; flags win over variables, variables over the file. All problems are listed at once and nothing is started. Log lines are JSON on standard output.',
    'The first SIGTERM or SIGINT drains: nobody new is let in, sessions end in their time, each with its last results. The second ends everything at once.',
    'With --workers several processes share the client port; signals go to the one that was started, which speaks for all.',
  ],
  sections: [{ title: 'OPTIONS', rows: [CONFIG_ROW, HELP_ROW] }, ...relayOptionSections()],
  examples: [
    {
      doc: 'In one region, for this machine alone:',
      line: 'transcribe-relay serve --region eu-west-1 --host 127.0.0.1',
    },
    {
      doc: 'From a file, with one value from the environment:',
      line: 'RELAY_LOG_LEVEL=debug transcribe-relay serve --config relay.json',
    },
  ],
  exitCodes: [
    { code: EXIT_OK, doc: 'it was stopped and has drained' },
    {
      code: EXIT_FAILURE,
      doc: 'a port is in use, the native library does not load, or the relay failed, be it while it drained',
    },
    USAGE_ROW,
    CONFIG_EXIT_ROW,
    ...FORCED_ROWS,
  ],
  seeAlso: ['transcribe-relay config', 'transcribe-relay dev', 'docs/configuration.md', 'docs/protocol.md'],
}

export const serveCommand: Command = { help, run }

async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const { options } = await resolveRelayOptions(parseRelayArguments(args, []), context.environment)
  context.outliveOutput()
  const workers = countWorkersHere(options)
  return workers === 1 ? runAlone({ ...options, workers }, context) : runPrimary(options, workers, context)
}

async function runAlone(options: RelayOptions, context: CommandContext): Promise<number> {
  // Loaded here, as a primary process has no use for it.
  const { startRelay } = await import('./relay-start.ts')
  return runService(async () => {
    const { relay, logger } = await startRelay(options, { clock: context.clock, env: context.environment })
    return loggedService(relay, logger)
  }, context)
}
