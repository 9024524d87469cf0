/**
 * A promise with its two ends outside, until `Promise.withResolvers` is in every supported Node.js.
 */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

export function defer<T>(): Deferred<T> {
  let resolve: (value: T) => void = unset
  let reject: (error: unknown) => void = unset
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve, reject }
}

/** Never called: the promise calls its executor before its constructor returns. */
function unset(): void {
  throw new Error('not set')
}
