import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  hubAddress,
  nameOf,
  remoteScheme,
  s3Address,
  shownAddress,
  wholeAddress,
  withoutSecrets,
} from '../../../src/corpus/storage/addresses.ts';

describe('addresses', () => {
  it('are told from paths', () => {
    expect(
      [
        's3://b/k',
        'https://h/x',
        'HTTP://h/x',
        'hf://datasets/o/n',
        'gs://b/k',
        'a/b',
        'c:/x',
        '-',
      ].map(remoteScheme),
    ).toEqual(['s3', 'https', 'http', 'hf', null, null, null, null]);
    expect(s3Address('s3://b/a/b c')).toEqual({ bucket: 'b', key: 'a/b c' });
    expect(s3Address('s3://b')).toEqual({ bucket: 'b', key: '' });
    expect(hubAddress('hf://datasets/o/n@v1.0/data/*.parquet')).toEqual({
      repo: 'o/n',
      revision: 'v1.0',
      path: 'data/*.parquet',
    });
    expect(hubAddress('hf://datasets/o/n@refs/convert/parquet/x')).toEqual({
      repo: 'o/n',
      revision: 'refs/convert/parquet',
      path: 'x',
    });
    expect(hubAddress('hf://datasets/o/n')).toEqual({ repo: 'o/n', revision: null, path: '' });
    expect(hubAddress('hf://o/n/x')).toBeNull();
    expect(nameOf('https://h/a%20b.jsonl.gz?download=true')).toBe('/a b.jsonl.gz');
  });

  it('are shown without user info and signatures, and whole behind that', () => {
    for (const [address, shown] of [
      ['https://me:pass@h/x.jsonl', 'https://h/x.jsonl'],
      [
        'https://b.s3.amazonaws.com/x.parquet?X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Signature=S&versionId=3',
        'https://b.s3.amazonaws.com/x.parquet?versionId=3',
      ],
      ['https://a.blob/x.parquet?sv=2024&sr=b&sig=abc&se=9&sp=r', 'https://a.blob/x.parquet'],
      ['https://h/x.jsonl?token=t&part=1#f', 'https://h/x.jsonl?part=1'],
      ['https://h/x.jsonl?id=0123456789abcdef0123456789abcdef', 'https://h/x.jsonl'],
      ['s3://key:secret@bucket/x', 's3://bucket/x'],
      ['s3://bucket/a@b', 's3://bucket/a@b'],
      ['hf://datasets/o/n@v1/x', 'hf://datasets/o/n@v1/x'],
      ['data/a@b', 'data/a@b'],
    ]) {
      expect(shownAddress(address!), address).toBe(shown);
      expect(wholeAddress(shown!)).toBe(address);
    }
  });

  it('never show what was user info or a signature', () => {
    const word = fc.stringMatching(/^[a-z0-9]{8,40}$/).map((text) => `zq${text}`);
    fc.assert(
      fc.property(
        word,
        word,
        fc.constantFrom('X-Amz-Signature', 'sig', 'access_token', 'Key-Pair-Id'),
        (user, secret, name) => {
          const address = `https://${user}:${secret}@h.example/x.jsonl?${name}=${secret}&a=1`;
          const shown = withoutSecrets(address);
          expect(shown).not.toContain(secret);
          expect(shown).not.toContain(user);
          expect(withoutSecrets(shown)).toBe(shown);
        },
      ),
    );
  });
});
