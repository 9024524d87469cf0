/** What is used of `bufferutil`, which brings no types: native where a build fits the machine, else JavaScript. */
declare module 'bufferutil' {
  const bufferUtil: {
    /** Writes `length` bytes of `source`, masked with the four bytes of `mask`, to `output` from `offset` on. */
    mask(source: Uint8Array, mask: Uint8Array, output: Uint8Array, offset: number, length: number): void
  }
  export = bufferUtil
}
