/** Where something is documented: paths in the repository and in the package, as README and the site have them. */

/** The page of all error codes; every code is a heading of it. */
export const ERRORS_PAGE = 'docs/errors.md';

/** The page of a command by its words; of `gristmill` itself, that of all commands. */
export function pageOfCommand(path: readonly string[]): string {
  return `docs/commands/${path.length === 0 ? 'index' : path.join('-')}.md`;
}

/** The place of a code: its heading as GitHub and the site name it. */
export function placeOfError(code: string): string {
  return `${ERRORS_PAGE}#${code.toLowerCase()}`;
}
