export function pagesToRun(root?: string): string[];
export function runPage(
  page: string,
  options?: { root?: string; slow?: boolean; log?: (line: string) => void },
): string | null;
