/**
 * A network between a client and a server on the loopback that a test cuts: what is on its way is lost and nobody hangs up, as
 * behind a cable that is pulled; or every connection is reset and refused.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** See the file's header. */
export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #state: 'open' | 'silent' | 'refused' = 'open';
  #nCuts = 0;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      if (this.#state === 'refused') return client.resetAndDestroy();
      const ends = this.#keep(client);
      if (this.#state === 'silent') return;
      const server = connect(targetPort, '127.0.0.1');
      const endsOther = this.#keep(server);
      // A connection that was cut stays dead: what was lost is not sent again.
      const cuts = this.#nCuts;
      const isWhole = (): boolean => this.#nCuts === cuts;
      client.on('data', (bytes) => isWhole() && server.write(bytes));
      server.on('data', (bytes) => isWhole() && client.write(bytes));
      ends(() => isWhole() && server.destroy());
      endsOther(() => isWhole() && client.destroy());
    });
  }

  /** @param address at which it is reached */
  static async before(targetPort: number, address = '127.0.0.1'): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    proxy.#server.listen(0, address);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Nothing comes through, and nobody hears of it. Connections of then stay so when the network is back. */
  cut(): void {
    this.#state = 'silent';
    this.#nCuts++;
  }

  /** All connections are reset, and new ones refused. */
  refuse(): void {
    this.#state = 'refused';
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** New connections come through. */
  mend(): void {
    this.#state = 'open';
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #keep(socket: Socket): (then: () => void) => void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    return (then) =>
      socket.once('close', () => {
        this.#sockets.delete(socket);
        then();
      });
  }
}
