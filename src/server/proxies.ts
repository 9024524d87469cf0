/**
 * Who a client is by its address, where proxies stand between it and the relay.
 *
 * An address is believed only from a proxy that the operator named: by `X-Forwarded-For`, read from the right to the first
 * address that is no such proxy, and by the header of the PROXY protocol (version 2) where that is switched on. Whatever
 * anybody else sends is not looked at. What cannot be read leaves the address of the peer.
 *
 * The native library reads the PROXY header before every request and not once a connection. So whoever is behind a proxy
 * could send a header of its own before a second request; where the header counts, a connection gets one request
 * (`isOneRequest`).
 */
import { BlockList, isIP } from 'node:net'

export interface ProxyOptions {
  /** Addresses and networks (`10.0.0.0/8`) of proxies. */
  readonly trustedProxies: readonly string[]
  readonly proxyProtocol: boolean
}

/** What a connection and a request say of where they come from; addresses as `formatAddress` writes them. */
export interface AddressClaims {
  readonly peer: string
  /** Of the PROXY header; empty without one. */
  readonly proxied: string
  readonly forwardedFor: string | undefined
}

/** More proxies in a row are nobody's network. The list may be longer: what is on the left is the client's. */
const MAX_HOPS = 32

export class ClientAddresses {
  readonly #proxies: BlockList | null
  /** Whether the PROXY header counts. */
  readonly isOneRequest: boolean

  constructor({ proxyProtocol, trustedProxies }: ProxyOptions) {
    this.#proxies = trustedProxies.length === 0 ? null : toBlockList(trustedProxies)
    this.isOneRequest = proxyProtocol
  }

  /** The address that limits and logs go by. */
  addressOf({ forwardedFor, peer, proxied }: AddressClaims): string {
    if (!this.#isProxy(peer)) return peer
    const sender = this.isOneRequest && proxied !== '' ? proxied : peer
    if (forwardedFor === undefined || !this.#isProxy(sender)) return sender
    return this.#readForwarded(forwardedFor) ?? sender
  }

  /** The rightmost that is no proxy; the leftmost where all are. `null` for what cannot be read before that. */
  #readForwarded(list: string): string | null {
    let address: string | null = null
    const hops = list.split(',')
    for (const hop of hops.slice(-MAX_HOPS).toReversed()) {
      address = parseAddress(hop.trim())
      if (address === null || !this.#isProxy(address)) return address
    }
    return hops.length > MAX_HOPS ? null : address
  }

  #isProxy(address: string): boolean {
    return this.#proxies?.check(address, address.includes(':') ? 'ipv6' : 'ipv4') ?? false
  }
}

/** The options have been checked the same way, where they come from the table. */
function isNetwork(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const family = address.includes('%') ? 0 : isIP(address)
  if (family === 0 || more.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128))
}

/** IPv4 in dots, also when it comes mapped into IPv6 (RFC 4291 §2.5.5.2); IPv6 in eight groups; empty if unknown. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return ''
  const isMapped = bytes.subarray(0, 10).every(byte => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  if (isMapped) return bytes.subarray(12).join('.')
  const hex = Buffer.from(bytes).toString('hex')
  return (hex.match(/.{4}/g) ?? []).map(group => group.replace(/^0{1,3}/, '')).join(':')
}

/** In the same form; a port behind it is left out, as some proxies write one. `null`: no address. */
export function parseAddress(text: string): string | null {
  const bare = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(text)?.[1] ?? text
  if (bare.includes('%')) return null
  switch (isIP(bare)) {
    case 4:
      return bare
    case 6:
      return formatAddress(bytesOfIpv6(bare))
    default:
      return null
  }
}

/** Of a valid address. */
function bytesOfIpv6(text: string): Uint8Array {
  const [, head, dotted] = /^(.*:)(\d+(?:\.\d+){3})$/.exec(text) ?? []
  const [a = 0, b = 0, c = 0, d = 0] = (dotted ?? '').split('.').map(Number)
  const hexOnly =
    head === undefined ? text : `${head}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  const [left = '', right] = hexOnly.split('::')
  const before = groupsOf(left)
  const after = right === undefined ? [] : groupsOf(right)
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0)
  return Uint8Array.from([...before, ...zeros, ...after].flatMap(group => [group >> 8, group & 0xff]))
}

function groupsOf(text: string): readonly number[] {
  return text === '' ? [] : text.split(':').map(group => Number.parseInt(group, 16))
}

function toBlockList(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    if (!isNetwork(network)) {
      throw new RangeError(`trustedProxies must be addresses and networks, got "${network.slice(0, 64)}"`)
    }
    const [address = '', prefix] = network.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return list
}
