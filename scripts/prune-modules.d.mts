/** Types of prune-modules.mjs, which the image build runs as it is. */
export function pruneModules(modulesFolder: string): number
