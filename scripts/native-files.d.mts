/** Types of native-files.mjs, which the image build runs as it is. */
export const NATIVE_PACKAGES: readonly string[]
export function hashNativeFiles(modulesFolder: string): Record<string, string>
export function findDifferences(
  found: Readonly<Record<string, string>>,
  known?: Readonly<Record<string, string>>,
): string[]
