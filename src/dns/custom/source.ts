import { readFileSync, statSync } from 'node:fs';
import { basename, isAbsolute } from 'node:path';
import type { Api } from '../../kube/api.ts';
import { Informer } from '../../kube/informer.ts';
import { ConfigMaps } from '../../kube/resources.ts';
import type { ConfigMap } from '../../kube/types.ts';
import { parseYaml } from '../../kube/yaml.ts';
import type { LiveCorefile } from '../corefile/live.ts';
import { translateCorefile } from '../corefile/translate.ts';
import type { Fact } from '../sources.ts';
import type { Custom } from './custom.ts';

/** Where custom entries come from. */
export interface CustomSourceOptions {
  /** A file: YAML or JSON of CustomEntries; or a Corefile, when it is named so. */
  file?: string;
  /** `namespace/name`. Its key `podnet-dns.yaml` has what the file would have; else `Corefile`, as CoreDNS' own ConfigMap has it. */
  configMap?: string;
}

const key = 'podnet-dns.yaml';
const corefileKey = 'Corefile';
const everyMs = 2000;
const factKind = 'ConfigMap';

/** Keeps custom entries as they are written: read again when the file or the ConfigMap changes. */
export class CustomSource implements Disposable {
  readonly #custom: Custom;
  readonly #live: LiveCorefile;
  readonly #file: string | undefined;
  readonly #informer: Informer<ConfigMap> | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #configMap: string | undefined;
  /** Of the ConfigMap, as the API server told it last. */
  #data: ConfigMap['data'];
  #remembered = false;
  /** Counts how often that was. */
  changes = 0;
  /** Stamps of the file and of those that it names. */
  #seen = '';
  #files: string[] = [];
  #markRead: () => void = () => {};
  /** Fulfilled when it was read, or cannot be for now: names are not answered before, as they might be others. */
  readonly read: Promise<void>;

  constructor(custom: Custom, live: LiveCorefile, { file, configMap }: CustomSourceOptions, api: Api) {
    this.#custom = custom;
    this.#live = live;
    this.#file = file;
    this.read = new Promise((resolve) => {
      this.#markRead = resolve;
    });
    this.#configMap = configMap;
    if (configMap === undefined) return;
    const [namespace = '', name = ''] = configMap.split('/');
    const map = { namespace, fieldSelector: `metadata.name=${name}` };
    this.#informer = new Informer<ConfigMap>(api, ConfigMaps, {
      ...map,
      onChange: (changes) => {
        for (const { type, object } of changes) {
          this.changes++;
          this.#data = type === 'deleted' ? undefined : object.data;
          this.#setMap(this.#data);
        }
      },
      onError: (error) => {
        custom.fail(`ConfigMap ${configMap}: ${error.message}`);
        this.#markRead();
      },
    });
    void this.#informer.synced.then(() => {
      if (this.#remembered && this.#data === undefined) this.#setMap(undefined);
      this.#markRead();
    });
  }

  start(): void {
    this.#informer?.start();
    if (this.#file === undefined) return;
    this.#look();
    this.#markRead();
    this.#timer = setInterval(() => this.#look(), everyMs).unref();
  }

  /** What the ConfigMap says, for a process that starts while the API server is away (process/names-file.ts). */
  *facts(): Generator<Fact> {
    if (this.#informer?.isSynced && this.#data) yield [factKind, this.#configMap!, this.#data];
  }

  /** Takes what another process knew for true, until the API server has told. */
  remember(facts: Iterable<Fact>): void {
    if (!this.#informer || this.#informer.isSynced) return;
    for (const [kind, key, data] of facts) {
      if (kind !== factKind || key !== this.#configMap) continue;
      this.#remembered = true;
      this.#setMap(data as ConfigMap['data']);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#informer?.stop();
  }

  /** A file that is away keeps what it said: it may be in the middle of being replaced. */
  #look(): void {
    const file = this.#file!;
    try {
      const files = [file, ...this.#files];
      const seen = files.map(stampOf).join(' ');
      if (seen === this.#seen) return;
      this.#seen = seen;
      const text = readFileSync(file, 'utf8');
      const used: string[] = [];
      const read = (path: string): string => {
        used.push(path);
        return readFileSync(path, 'utf8');
      };
      this.#set(text, basename(file) === corefileKey, read);
      this.#files = used;
      // With those that it names.
      this.#seen = [file, ...used].map(stampOf).join(' ');
    } catch (error) {
      this.#custom.fail((error as Error).message);
    }
  }

  /** Files that it names are other keys of it, as where it is mounted. */
  #setMap(data: ConfigMap['data'] = {}): void {
    const text = data[key] ?? data[corefileKey] ?? '';
    this.#set(text, data[key] === undefined && data[corefileKey] !== undefined, (file) => {
      const content = data[basename(file)];
      if (content === undefined) throw new Error(`it names the file ${file}, and the ConfigMap has no key ${basename(file)}`);
      return content;
    });
  }

  #set(text: string, isCorefile: boolean, read: (file: string) => string): void {
    try {
      const translated = isCorefile ? translateCorefile(text) : undefined;
      const live = this.#live.prepare(translated);
      // As a whole or not at all.
      if (this.#custom.set(translated?.custom ?? entriesOf(text), { read, notes: live.notes })) live.apply();
    } catch (error) {
      this.#custom.fail((error as Error).message);
    }
  }
}

/** @throws Error with the first line of what is wrong: what follows is the text itself */
function entriesOf(text: string): unknown {
  try {
    return parseYaml(text);
  } catch (cause) {
    throw new Error((cause as Error).message.split('\n')[0]!.replace(/:$/, ''), { cause });
  }
}

function stampOf(file: string): string {
  const { mtimeMs, size, ino } = statSync(file);
  return `${mtimeMs} ${size} ${ino}`;
}

/** @throws SyntaxError */
export function checkSource(input: CustomSourceOptions): CustomSourceOptions {
  const unknown = Object.keys(input).find((one) => one !== 'file' && one !== 'configMap');
  if (unknown !== undefined) throw new SyntaxError(`unknown field "custom.${unknown}"; known are file, configMap`);
  const { file, configMap } = input;
  if ((file === undefined) === (configMap === undefined)) throw new SyntaxError('custom has a file or a configMap, one of both');
  if (file !== undefined && !isAbsolute(file)) throw new SyntaxError(`custom.file must be an absolute path, not ${JSON.stringify(file)}`);
  if (configMap !== undefined && !/^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(configMap))
    throw new SyntaxError(`custom.configMap must be NAMESPACE/NAME, not ${JSON.stringify(configMap)}`);
  return input;
}
