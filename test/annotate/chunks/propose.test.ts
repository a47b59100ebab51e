import { describe, expect, it } from 'vitest';
import { betweenMarkers } from '../../../src/annotate/chunks/propose.ts';

describe('betweenMarkers', () => {
  it('takes the lines between the first begin and the last end, whatever stands around them', () => {
    expect(betweenMarkers('Sure.\n<<<BEGIN>>>\none\n\ntwo\n<<<END>>>\nDone.')).toEqual([
      'one',
      '',
      'two',
    ]);
    expect(betweenMarkers(' <<<BEGIN>>> \r\none\r\n<<<END>>>\r\n')).toEqual(['one']);
  });

  it('tells an empty window from a missing one', () => {
    expect(betweenMarkers('<<<BEGIN>>>\n<<<END>>>')).toEqual([]);
    expect(betweenMarkers('<<<BEGIN>>>\none')).toBeNull();
    expect(betweenMarkers('<<<END>>>\n<<<BEGIN>>>')).toBeNull();
    expect(betweenMarkers('')).toBeNull();
  });

  it('leaves markers inside the text alone', () => {
    const text = '<<<BEGIN>>>\na\n<<<BEGIN>>>\n<<<END>>>\nb\n<<<END>>>';
    expect(betweenMarkers(text)).toEqual(['a', '<<<BEGIN>>>', '<<<END>>>', 'b']);
  });
});
