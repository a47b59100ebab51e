import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { openEndpoint } from '../../../src/annotate/expert/expert-endpoint.ts';
import { openHttp, proxyOf } from '../../../src/annotate/expert/http.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('proxyOf', () => {
  const proxyFor = (target: string, environment: Record<string, string>) =>
    proxyOf(new URL(target), environment)?.href ?? null;

  it('takes the variable of the scheme, the small spelling first', () => {
    const both = { HTTPS_PROXY: 'http://one:1', HTTP_PROXY: 'http://two:2' };
    expect(proxyFor('https://api.example/v1', both)).toBe('http://one:1/');
    expect(proxyFor('http://api.example/v1', both)).toBe('http://two:2/');
    expect(proxyFor('https://a', { ...both, https_proxy: 'http://three:3' })).toBe(
      'http://three:3/',
    );
    expect(proxyFor('https://a', { HTTPS_PROXY: 'proxy.example:8080' })).toBe(
      'http://proxy.example:8080/',
    );
    expect(proxyFor('https://a', { HTTP_PROXY: 'http://two:2', HTTPS_PROXY: ' ' })).toBeNull();
  });

  it.each([
    ['*', true],
    ['api.example', true],
    ['example', true],
    ['.example', true],
    ['*.example', true],
    ['other, API.Example ', true],
    ['api.example:443', true],
    ['api.example:8443', false],
    ['pi.example', false],
    ['api.example.org', false],
    ['', false],
  ])('NO_PROXY %j: %s', (NO_PROXY, isExempt) => {
    const found = proxyFor('https://api.example/v1', { HTTPS_PROXY: 'http://one:1', NO_PROXY });
    expect(found === null).toBe(isExempt);
  });

  it.each([
    ['::1', true],
    ['[::1]', true],
    ['[::1]:8080', true],
    ['[::1]:80', false],
    ['::2', false],
  ])('NO_PROXY %j for an IPv6 address: %s', (no_proxy, isExempt) => {
    const found = proxyFor('http://[::1]:8080/v1', { HTTP_PROXY: 'http://one:1', no_proxy });
    expect(found === null).toBe(isExempt);
  });

  it('refuses other proxies by the name of the variable, without their credentials', () => {
    const environment = { HTTPS_PROXY: 'socks5://user:secret@proxy:1080' };
    const refused = () => proxyFor('https://a', environment);
    expect(refused).toThrow(/HTTPS_PROXY: expected .*http or https proxy.*socks5/);
    expect(refused).not.toThrow(/secret/);
  });
});

describe('openHttp', () => {
  it('sends what is not encrypted through a proxy as it is, with credentials', async () => {
    const seen: unknown[] = [];
    const proxy = await listen((request, response) => {
      seen.push(request.url, request.headers['proxy-authorization'], request.headers.host);
      response.end('through');
    });
    const HTTP_PROXY = proxy.url.replace('//', '//mill:w%C3%B6rd@');
    const http = openHttp('http://model.example/v1', { HTTP_PROXY });
    const response = await http.fetch('http://model.example/v1', {});
    expect(await response.text()).toBe('through');
    const basic = `Basic ${Buffer.from('mill:wörd').toString('base64')}`;
    expect(seen).toEqual(['http://model.example/v1', basic, 'model.example']);
    await http.dispose();
  });

  it('tunnels what is encrypted', async () => {
    const proxy = await listen((_, response) => response.end());
    const asked: (string | undefined)[] = [];
    proxy.server.on('connect', (request, socket) => {
      asked.push(request.url);
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    const given = process.env['https_proxy'];
    process.env['https_proxy'] = proxy.url;
    try {
      const options = { url: 'https://model.example/v1', model: 'm', maxRetries: 0 };
      const endpoint = openEndpoint(options);
      const losses: unknown[] = [];
      const control = {
        signal: undefined,
        admit: async () => {},
        lost: (loss: unknown) => losses.push(loss),
      };
      const sent = endpoint.send({ system: null, user: 'u', maxTokens: 1 }, control as never);
      await expect(sent).rejects.toMatchObject({
        code: 'ANNOTATE_EXPERT_FAILED',
        message: expect.stringContaining('Proxy response (403)'),
      });
      // It never reached the model.
      expect(losses).toEqual(['nothing']);
      await endpoint.dispose();
    } finally {
      if (given === undefined) delete process.env['https_proxy'];
      else process.env['https_proxy'] = given;
    }
    expect(asked).toEqual(['model.example:443']);
  });

  it('goes to the address itself without a proxy', async () => {
    const { url } = await listen((_, response) => response.end('direct'));
    const http = openHttp(url, { HTTP_PROXY: 'http://127.0.0.1:1', NO_PROXY: '127.0.0.1' });
    expect(await (await http.fetch(url, {})).text()).toBe('direct');
    await http.dispose();
  });
});

// Nothing above 300 s was taken, as Node's fetch gives up then.
it('takes time-outs of up to a day', () => {
  const options = { url: 'http://127.0.0.1:1/v1', model: 'm' };
  const open = (timeoutMs: number) => openEndpoint({ ...options, timeoutMs });
  expect(() => open(86_400_000)).not.toThrow();
  expect(() => open(86_400_001)).toThrow(/timeoutMs/);
});
