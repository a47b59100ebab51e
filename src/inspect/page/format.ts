/** Numbers as people read them. */

export function whole(value: number): string {
  return value.toLocaleString('en');
}

export function percent(share: number, digits = 1): string {
  return `${(share * 100).toFixed(digits)} %`;
}

export function score(value: number | null): string {
  return value === null ? '–' : value.toFixed(3);
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

export function bytes(value: number | null): string {
  if (value === null) return '–';
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}

export function counted(count: number, noun: string): string {
  return `${whole(count)} ${noun}${count === 1 ? '' : 's'}`;
}
