import { describe, expect, it } from 'vitest';
import { parseDevices } from '../src/device-names.ts';
import { deviceSchema } from '../src/train/config-parts.ts';

describe('names of devices', () => {
  it('are one an engine', () => {
    expect(parseDevices('cpu')).toEqual(['cpu']);
    expect(parseDevices('cuda:3')).toEqual(['cuda:3']);
    expect(parseDevices('cuda:1,0,12')).toEqual(['cuda:1', 'cuda:0', 'cuda:12']);
  });

  it('mean the same where a run has one device and where it has many', () => {
    expect(parseDevices('cuda')).toEqual(['cuda:0']);
    expect(deviceSchema.parse('cuda')).toBe('cuda:0');
  });

  it('name a device once, however it is written', () => {
    // `0,00` had been two engines on one card.
    expect(parseDevices('cuda:0,00,1,01,0')).toEqual(['cuda:0', 'cuda:1']);
  });

  it.each(['', 'gpu', 'cuda:', 'cuda:a', 'cuda:0,', 'cuda:123', 'cpu,cuda:0', 'cuda:0;1'])(
    'are refused where nothing is meant by them: %j',
    (name) => {
      expect(() => parseDevices(name)).toThrow(/cpu, cuda, cuda:0 or cuda:0,1/);
    },
  );
});
