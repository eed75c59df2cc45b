import { readFileSync, statSync } from 'node:fs';
import { basename, isAbsolute } from 'node:path';
import type { Api } from '../../kube/api.ts';
import { Informer } from '../../kube/informer.ts';
import { ConfigMaps } from '../../kube/resources.ts';
import type { ConfigMap } from '../../kube/types.ts';
import { parseYaml } from '../../kube/yaml.ts';
import { translateCorefile } from '../corefile/translate.ts';
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

/** Keeps custom entries as they are written: read again when the file or the ConfigMap changes. */
export class CustomSource implements Disposable {
  readonly #custom: Custom;
  readonly #file: string | undefined;
  readonly #informer: Informer<ConfigMap> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Stamps of the file and of those that it names. */
  #seen = '';
  #files: string[] = [];
  #markRead: () => void = () => {};
  /** Fulfilled when it was read, or cannot be for now: names are not answered before, as they might be others. */
  readonly read: Promise<void>;

  constructor(custom: Custom, { file, configMap }: CustomSourceOptions, api: Api) {
    this.#custom = custom;
    this.#file = file;
    this.read = new Promise((resolve) => {
      this.#markRead = resolve;
    });
    if (configMap === undefined) return;
    const [namespace = '', name = ''] = configMap.split('/');
    const map = { namespace, fieldSelector: `metadata.name=${name}` };
    this.#informer = new Informer<ConfigMap>(api, ConfigMaps, {
      ...map,
      onChange: (changes) => {
        for (const { type, object } of changes) this.#setMap(type === 'deleted' ? undefined : object);
      },
      onError: (error) => {
        custom.fail(`ConfigMap ${configMap}: ${error.message}`);
        this.#markRead();
      },
    });
    void this.#informer.synced.then(() => this.#markRead());
  }

  start(): void {
    this.#informer?.start();
    if (this.#file === undefined) return;
    this.#look();
    this.#markRead();
    this.#timer = setInterval(() => this.#look(), everyMs).unref();
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
  #setMap(map: ConfigMap | undefined): void {
    const data = map?.data ?? {};
    const text = data[key] ?? data[corefileKey] ?? '';
    this.#set(text, data[key] === undefined && data[corefileKey] !== undefined, (file) => {
      const content = data[basename(file)];
      if (content === undefined) throw new Error(`it names the file ${file}, and the ConfigMap has no key ${basename(file)}`);
      return content;
    });
  }

  #set(text: string, isCorefile: boolean, read: (file: string) => string): void {
    if (!isCorefile) {
      let entries: unknown;
      try {
        entries = parseYaml(text);
      } catch (error) {
        // What follows is the text itself.
        return this.#custom.fail((error as Error).message.split('\n')[0]!.replace(/:$/, ''));
      }
      this.#custom.set(entries, { read });
      return;
    }
    try {
      const { custom, notes } = translateCorefile(text);
      this.#custom.set(custom, { read, notes: notes.filter(({ custom: own }) => own).map(({ line, text: what, why }) => `Corefile:${line}: ${what}: ${why}`) });
    } catch (error) {
      this.#custom.fail((error as Error).message);
    }
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
