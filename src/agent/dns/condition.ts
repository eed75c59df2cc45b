import { type Api, isConflict } from '../../kube/api.ts';
import { conditionOf, dnsConditionType, kubeTime, withCondition } from '../../kube/objects.ts';
import { Nodes } from '../../kube/resources.ts';

export interface DnsConditionOptions {
  api: Pick<Api, 'get' | 'patch'>;
  nodeName: string;
  log: (line: string) => void;
  /** A DNS that is away for a moment only (its start, a worker's end) is nobody else's business. */
  graceMs?: number;
  /** After a failure. */
  retryMs?: number;
}

/**
 * Says in the Node whether its DNS answers (condition `PodnetDNSReady`), so that it is no endpoint of kube-dns for other nodes while it does not. Written only when it differs from what
 * the Node says; without the condition it answers.
 */
export class DnsCondition implements Disposable {
  readonly #options: Required<DnsConditionOptions>;
  #ready: boolean | undefined;
  /** What the Node says. */
  #said = true;
  #timer: NodeJS.Timeout | undefined;
  #writing = false;
  #disposed = false;

  constructor(options: DnsConditionOptions) {
    this.#options = { graceMs: 1000, retryMs: 1000, ...options };
  }

  /** What the DNS is now. */
  set(ready: boolean): void {
    this.#ready = ready;
    this.#plan(ready ? 0 : this.#options.graceMs);
  }

  /** What the Node says now, whoever wrote it. */
  seen(said: boolean): void {
    this.#said = said;
    if (this.#ready !== undefined && this.#ready !== said && this.#timer === undefined && !this.#writing)
      this.#plan(this.#options.graceMs);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
  }

  #plan(afterMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#ready === this.#said || this.#disposed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#write();
    }, afterMs);
  }

  async #write(): Promise<void> {
    const { log, retryMs } = this.#options;
    const ready = this.#ready!;
    if (this.#writing || ready === this.#said) return;
    this.#writing = true;
    let again = 0;
    try {
      await this.#patch(ready);
      this.#said = ready;
    } catch (error) {
      // Somebody else has written the Node meanwhile: at once again, with what it says now.
      if (!isConflict(error)) {
        again = retryMs;
        log(`the Node cannot be told that its DNS is ${ready ? 'ready' : 'not ready'}: ${(error as Error).message}`);
      }
    } finally {
      this.#writing = false;
      this.#plan(again);
    }
  }

  /** With the version that was read: conditions are a list, and others have theirs in it. */
  async #patch(ready: boolean): Promise<void> {
    const { api, nodeName } = this.#options;
    const { metadata, status } = await api.get(Nodes, nodeName);
    if (conditionOf(status?.conditions, dnsConditionType)?.status === (ready ? 'True' : 'False')) return;
    const now = kubeTime(Date.now());
    const condition = ready
      ? { reason: 'DNSAnswers', message: "this node's DNS answers" }
      : { reason: 'DNSNotReady', message: "this node's DNS does not answer: its pods ask other nodes'" };
    const conditions = withCondition(
      status?.conditions ?? [],
      { type: dnsConditionType, status: ready ? 'True' : 'False', lastHeartbeatTime: now, ...condition },
      now,
    );
    const patch = { metadata: { resourceVersion: metadata.resourceVersion }, status: { conditions } };
    await api.patch(Nodes, nodeName, undefined, patch, 'merge', { subresource: 'status' });
  }
}
