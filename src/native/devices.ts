/** Devices as the addon finds them: the CPU, and what its GPU backend sees. */
import { GristmillError } from '../errors.ts';
import type { DeviceInfo } from './engine.ts';
import { native } from './index.ts';

/**
 * The GPUs among `names`, in their order. Loads nothing for the CPU, and makes no context on a GPU.
 *
 * @param names as `parseDevices` gives them
 * @throws ENGINE_DEVICE_MISSING, NATIVE_MISSING
 */
export function requireDevices(names: readonly string[]): readonly DeviceInfo[] {
  const wanted = names.filter((name) => name !== 'cpu');
  if (wanted.length === 0) return [];
  const { devices, missing } = native().listDevices(false);
  return wanted.map((device) => {
    const found = devices.find(({ name }) => name === device);
    if (found) return found;
    const all = devices.map(({ name }) => name).join(', ') || 'none';
    const available = missing === '' ? all : `${all} (${missing})`;
    throw new GristmillError('ENGINE_DEVICE_MISSING', { device, available });
  });
}
