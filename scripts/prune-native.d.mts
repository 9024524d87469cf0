/** Types of prune-native.mjs, which the image build runs as it is. */
export function pruneNative(
  modulesFolder: string,
  target: { readonly arch: string; readonly abi: string; readonly known?: Readonly<Record<string, string>> },
): string[]
export function listNativeFiles(folder: string): string[]
