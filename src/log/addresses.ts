/**
 * How much of a client's address is written down.
 */
const ADDRESS_MODES = ['full', 'prefix', 'none'] as const

/** `prefix`: the network that an address is in, which names no household: /24 of IPv4, /48 of IPv6. */
export type AddressMode = (typeof ADDRESS_MODES)[number]

/** `null`: nothing. Addresses are IPv4 in dots, or IPv6 in eight groups. */
export function showAddress(address: string, mode: AddressMode): string | null {
  switch (mode) {
    case 'full':
      return address
    case 'none':
      return null
    default:
      return address.includes(':')
        ? `${address.split(':', 3).join(':')}::/48`
        : address.replace(/^(\d+\.\d+\.\d+)\.\d+$/, '$1.0/24')
  }
}

/** The fields with `client_address` as the mode says. */
export function withAddress(
  fields: Readonly<Record<string, unknown>>,
  mode: AddressMode,
): Readonly<Record<string, unknown>> {
  const { client_address: address, ...rest } = fields
  const shown = typeof address === 'string' ? showAddress(address, mode) : null
  return shown === null ? rest : { ...rest, client_address: shown }
}
