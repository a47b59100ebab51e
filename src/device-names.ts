/** Names of devices: what `--device` means. */
import { GristmillError } from './errors.ts';

/**
 * Parses `--device`.
 *
 * @param device `cpu`, `cuda`, `cuda:0` or `cuda:0,1`
 * @returns one entry per engine, e.g. `['cuda:0', 'cuda:1']`
 * @throws OPTION_INVALID
 */
export function parseDevices(device: string): readonly string[] {
  if (device === 'cpu') return ['cpu'];
  if (device === 'cuda') return ['cuda:0'];
  const match = /^cuda:(\d{1,2}(?:,\d{1,2})*)$/.exec(device);
  if (!match) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'device',
      expected: 'cpu, cuda, cuda:0 or cuda:0,1',
      received: device,
    });
  }
  const indices = match[1]!.split(',').map(Number);
  return [...new Set(indices)].map((index) => `cuda:${index}`);
}
