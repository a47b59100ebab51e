/** Certificates for tests, made by openssl: a CA, a server on the loopback, a client, and a CA that nobody trusts. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Whether tests can make them. */
export const hasOpenssl = ((): boolean => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write('SKIPPED: no openssl on this machine (apt-get install openssl)\n');
    return false;
  }
})();

/** A certificate and its key, as files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Makes all of them in a folder. */
export function makeCertificates(folder: string) {
  const make = (name: string, signedBy: CertificateFiles | null, ...more: string[]) => {
    const files = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const subject = ['-subj', `/CN=gristmill test ${name}`, '-days', '2'];
    const signer = signedBy ? ['-CA', signedBy.cert, '-CAkey', signedBy.key] : [];
    const out = ['-keyout', files.key, '-out', files.cert];
    execFileSync('openssl', ['req', '-x509', ...key, ...subject, ...signer, ...out, ...more], {
      stdio: 'pipe',
    });
    return files;
  };
  const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE'];
  const ca = make('ca', null);
  return {
    ca,
    otherCa: make('other-ca', null),
    server: make('server', ca, ...leaf, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'),
    client: make('client', ca, ...leaf),
  };
}
