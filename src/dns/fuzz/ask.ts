import { answer as answerText } from '../testkit/message.ts';
import { pod, service, slice, TestCluster, namespace } from '../testkit/cluster.ts';
import { Forwarder } from '../forward/forwarder.ts';
import { Custom } from '../custom/custom.ts';
import { reduceAnswer } from '../forward/answer.ts';
import { Limits, parseLimits } from '../limits/limits.ts';
import { newMetrics } from '../metrics.ts';
import { Pipeline, stagesOf } from '../pipeline.ts';
import { SearchLists } from '../search/search-lists.ts';
import { question } from '../testkit/message.ts';
import { ClientAddress } from '../wire/client.ts';
import { parseMessage } from '../wire/message.ts';
import { parseName } from '../wire/names.ts';
import { ZoneAnswerer } from '../zone/answer.ts';

const word = (buffer: Uint8Array, at: number): number => (buffer[at]! << 8) | buffer[at + 1]!;

const entries = {
  hosts: { entries: [{ address: '192.0.2.10', names: ['db.example.com'] }] },
  rewrite: [
    { match: 'suffix', from: '.prod.example.com', to: '.default.svc.cluster.local' },
    { match: 'regex', from: '(.*)-(eu|us)\\.example\\.com', to: '{1}.{2}.example.net' },
  ],
};

/** A server without sockets, with everything in it: entries by hand, zones, search paths, a cache, limits. Its resolvers never answer. */
export class AskTarget implements Disposable {
  readonly #metrics = newMetrics();
  readonly #forwarder: Forwarder;
  readonly #pipeline: Pipeline;
  readonly #out = Buffer.alloc(65535);
  readonly #client = new ClientAddress();
  answered = 0;
  later = 0;
  ignored = 0;

  constructor() {
    const ports = [{ name: 'http', protocol: 'TCP' as const, port: 80 }];
    const cluster = new TestCluster(
      namespace('default'),
      service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1', 'fd00:10:96::1'], ports }),
      service('db', { clusterIP: 'None', ports }),
      slice(
        'db',
        Array.from({ length: 60 }, (_, i) => ({ ip: `10.244.1.${i}`, hostname: `db-${i}` })),
      ),
      service('out', { type: 'ExternalName', externalName: askedOutside }),
      service('loop', { type: 'ExternalName', externalName: 'loop.default.svc.cluster.local' }),
      pod('10.244.1.7'),
    );
    const { zones, ttl } = cluster.zone;
    const now = (): number => performance.now();
    const metrics = this.#metrics;
    this.#forwarder = new Forwarder({
      upstream: { servers: [], cache: { bytes: 1 << 20 }, mostPerSource: 1024, perSourcePerSecond: 1_000_000 },
      metrics,
      now,
      isOwn: (name) => zones.apexOf(name) !== undefined,
    });
    this.#fill(askedOutside, 1);
    const search = { cluster: cluster.zone, lists: new SearchLists({ zone: 'cluster.local', servers: ['10.96.0.10'] }) };
    const custom = new Custom('fuzz');
    if (!custom.set(entries)) throw new Error('the entries are wrong');
    const stages = stagesOf({
      zones,
      answerer: new ZoneAnswerer(zones, ttl),
      isSynced: () => true,
      forwarder: this.#forwarder,
      search,
    });
    const limits = new Limits(parseLimits({ clients: ['192.0.2.0/24'], responsesPerSecond: 100_000 }), [], now);
    this.#pipeline = new Pipeline(stages, metrics, { recursionAvailable: true, limits });
  }

  /** @throws Error that says what is wrong with the answer to this packet */
  run(packet: Buffer, bits: number): void {
    const transport = bits & 1 ? 'tcp' : 'udp';
    // A pod, a client outside of the cluster, nobody's client.
    this.#client.setText(bits & 2 ? '10.244.1.7' : '192.0.2.7');
    const isQuestion = packet.length >= 12 && (packet[2]! & 0x80) === 0;
    const out = this.#out;
    const length = this.#pipeline.answer(
      packet,
      0,
      packet.length,
      transport,
      out,
      0,
      () => (message) => this.#judge(packet, message, transport),
      this.#client,
    );
    if (!isQuestion) {
      this.ignored++;
      if (length !== 0) throw new Error('an answer to what is no question');
    } else if (length > 0) this.#judge(packet, out.subarray(0, length), transport);
    else this.later++;
    if (this.#metrics.faults > 0) throw new Error('a fault while answering');
  }

  get cacheBytes(): number {
    return this.#forwarder.cache.bytes;
  }

  [Symbol.dispose](): void {
    this.#forwarder[Symbol.dispose]();
  }

  #judge(packet: Buffer, answer: Buffer, transport: 'udp' | 'tcp'): void {
    this.answered++;
    if (answer.length < 12 || answer.length > (transport === 'udp' ? 1232 : 65535))
      throw new Error(`an answer of ${answer.length} bytes over ${transport}`);
    if (word(answer, 0) !== word(packet, 0)) throw new Error('an answer with another id');
    if ((answer[2]! & 0x80) === 0) throw new Error('an answer that is a question');
    if (((answer[2]! ^ packet[2]!) & 0x78) !== 0) throw new Error('an answer with another opcode');
    if (word(answer, 4) === 0) {
      if (answer.length !== 12 + (word(answer, 10) === 1 ? 11 : 0)) throw new Error('records without a question');
      return;
    }
    const message = parseMessage(answer);
    const end = message.records.at(-1)?.end ?? message.questionEnd;
    if (end !== answer.length) throw new Error(`${answer.length - end} bytes behind the last record`);
    if (answer.compare(packet, 12, message.questionEnd, 12, message.questionEnd) !== 0)
      throw new Error('another question than the asked one');
  }

  #fill(name: string, type: number): void {
    const asked = { name: parseName(name), type };
    const said = answerText(question(name), {
      answers: [
        { name, type: 'CNAME', data: 'edge.example.net' },
        { name: 'edge.example.net', type: 'A', data: '192.0.2.1' },
      ],
    });
    const kept = reduceAnswer(parseMessage(said), asked);
    if (typeof kept === 'string') throw new Error(kept);
    this.#forwarder.cache.set(asked, kept, performance.now());
  }
}

const askedOutside = 'www.example.com';
