export function llmsText(root: string): string;
