/**
 * What a client asks for that comes back: `resume_token` of its `Begin` or `Resumed` message, and `seq` of the last
 * message that it saw. Everything else in the query is left unread, so that a client may append the two to the URL that
 * it began with: the session has its parameters.
 */
import type { ParameterProblem } from '../transcribe/parameters.ts'

export interface ResumeQuery {
  readonly token: string
  readonly seq: number
}

const RESUME_TOKEN_PARAMETER = 'resume_token'
const SEQ_PARAMETER = 'seq'

const SEQ_PATTERN = /^[1-9]\d{0,14}$/
/** Ours are shorter; see `session/resume-token.ts`. */
const MAX_TOKEN_CHARACTERS = 200

export type ResumeQueryResult =
  /** `query` is `null` for a client that does not come back. */
  | { readonly ok: true; readonly query: ResumeQuery | null }
  | { readonly ok: false; readonly problems: readonly ParameterProblem[] }

/** Reads the query string of the upgrade (without `?`). No problem shows the token. */
export function readResumeQuery(queryString: string): ResumeQueryResult {
  if (!queryString.includes(RESUME_TOKEN_PARAMETER)) return NOT_RESUMING
  const parameters = new URLSearchParams(queryString)
  const tokens = parameters.getAll(RESUME_TOKEN_PARAMETER)
  const [token] = tokens
  if (token === undefined) return NOT_RESUMING
  const problems: ParameterProblem[] = []
  if (tokens.length > 1) problems.push(problem(RESUME_TOKEN_PARAMETER, null, 'must be given once'))
  else if (token === '' || token.length > MAX_TOKEN_CHARACTERS) {
    problems.push(problem(RESUME_TOKEN_PARAMETER, null, 'must be that of a Begin or Resumed message'))
  }
  const seqs = parameters.getAll(SEQ_PARAMETER)
  const [seq] = seqs
  if (seqs.length > 1) problems.push(problem(SEQ_PARAMETER, null, 'must be given once'))
  else if (seq === undefined || !SEQ_PATTERN.test(seq)) {
    const rule = 'must be the number of the last message that was seen'
    problems.push(problem(SEQ_PARAMETER, seq?.replace(/[^\x20-\x7e]/g, '?').slice(0, 32) ?? null, rule))
  }
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, query: { token, seq: Number(seq) } }
}

const NOT_RESUMING: ResumeQueryResult = { ok: true, query: null }

function problem(parameter: string, value: string | null, rule: string): ParameterProblem {
  return { parameter, value, rule }
}
