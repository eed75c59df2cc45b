import { closeSync, existsSync } from 'node:fs';
import { listenUnix } from '../../kernel/unix-listener.ts';
import { bindForRoot, removal } from '../../unix/listen.ts';
import type { ParsedConfig } from '../config.ts';
import { listenForMetrics, openSockets } from '../serve/sockets.ts';
import type { Predecessor } from './handover.ts';
import { handoverSocket } from './paths.ts';
import { handoverName, healthName, metricsName, tcpName, udpName } from './socket-names.ts';

/** Everything that workers inherit, by name. */
export class ParentSockets {
  /** Descriptors, in the order that they are inherited in. */
  readonly all = new Map<string, number>();
  readonly #files: (() => void)[] = [];

  /** Takes what a predecessor has, and opens the rest. @throws KernelError when an address or port cannot be had */
  static async open(config: ParsedConfig, predecessor: Predecessor | undefined): Promise<ParentSockets> {
    const sockets = new ParentSockets();
    try {
      await sockets.#open(config, predecessor);
      return sockets;
    } catch (error) {
      sockets.close();
      throw error;
    }
  }

  async #open(config: ParsedConfig, predecessor: Predecessor | undefined): Promise<void> {
    const { listen, port, healthSocket, runDir, metricsListen } = config;
    for (const ip of listen) {
      const names = { udp: udpName(String(ip), port), tcp: tcpName(String(ip), port) };
      const [udp, tcp] = [predecessor?.take(names.udp), predecessor?.take(names.tcp)];
      const pair = udp !== undefined && tcp !== undefined ? { udp, tcp } : openSockets(undefined, ip, port);
      this.all.set(names.udp, pair.udp).set(names.tcp, pair.tcp);
    }
    if (healthSocket !== undefined) await this.#listen(healthName(healthSocket), healthSocket, predecessor);
    const metrics = metricsName(config);
    if (metrics !== undefined) this.all.set(metrics, predecessor?.take(metrics) ?? listenForMetrics(metricsListen!));
    if (runDir !== undefined) await this.#listen(handoverName, handoverSocket(runDir), predecessor);
  }

  /** A unix socket. */
  async #listen(name: string, path: string, predecessor: Predecessor | undefined): Promise<void> {
    const inherited = predecessor?.take(name);
    if (inherited !== undefined && existsSync(path)) {
      this.all.set(name, inherited);
      this.#files.push(removal(path));
      return;
    }
    // Its file is gone: nobody finds it any more.
    if (inherited !== undefined) closeSync(inherited);
    const { bound, remove } = await bindForRoot(path, () => listenUnix(path));
    this.all.set(name, bound.disown());
    this.#files.push(remove);
  }

  /** @param files of unix sockets that nobody goes on with */
  close({ files = false } = {}): void {
    if (files) for (const remove of this.#files) remove();
    for (const fd of this.all.values()) closeSync(fd);
    this.all.clear();
  }
}
