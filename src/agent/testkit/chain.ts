import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type CniAnswer, type CniCall, callCni } from './cni.ts';

/**
 * A plugin for chains, as meta plugins are: ADD answers what came before it and an interface `tag-<name>`, CHECK wants that interface, and every call is
 * written down beside it, with what it was given.
 */
const plugin = `#!${process.execPath}
const fs = require('node:fs');
const config = JSON.parse(fs.readFileSync(0, 'utf8'));
const { CNI_COMMAND: command } = process.env;
fs.appendFileSync(__filename + '.log', JSON.stringify({ command, prevResult: config.prevResult }) + '\\n');
const name = 'tag-' + config.type;
if (command === 'ADD') {
  const before = config.prevResult ?? { interfaces: [], ips: [], routes: [], dns: {} };
  console.log(JSON.stringify({ ...before, cniVersion: config.cniVersion, interfaces: [...before.interfaces, { name }] }));
} else if (command === 'CHECK' && !config.prevResult.interfaces.some((one) => one.name === name)) {
  console.log(JSON.stringify({ cniVersion: config.cniVersion, code: 100, msg: name + ' is gone' }));
  process.exit(1);
}
`;

export interface ChainCall {
  command: string;
  prevResult?: Record<string, unknown>;
}

/** A list of plugins, called as libcni calls it: ADD and CHECK in order, DEL the other way round, each with what ADD answered before. */
export class Chain {
  readonly #binDir: string;
  readonly #types: readonly string[];
  #result: Record<string, unknown> | undefined;

  /** @param types names of executables in binDir; all but podnet are made */
  constructor(binDir: string, types: readonly string[]) {
    this.#binDir = binDir;
    this.#types = types;
    for (const type of types.filter((one) => one !== 'podnet')) {
      writeFileSync(path.join(binDir, type), plugin);
      chmodSync(path.join(binDir, type), 0o755);
    }
  }

  /** @returns the first answer that is an error, or the last one's */
  async call(call: CniCall): Promise<CniAnswer> {
    const isAdd = call.command === 'ADD';
    const order = call.command === 'DEL' ? [...this.#types].reverse() : this.#types;
    let previous = isAdd ? undefined : this.#result;
    let answer: CniAnswer = { code: 0, json: {} };
    for (const type of order) {
      const config = { ...call.config, type, ...(previous ? { prevResult: previous } : {}) };
      answer = await callCni(path.join(this.#binDir, type), { ...call, config });
      if (answer.code !== 0) return answer;
      if (isAdd) previous = answer.json;
    }
    if (isAdd) this.#result = previous;
    return answer;
  }

  /** What a made plugin was called with. */
  calls(type: string): ChainCall[] {
    const lines = readFileSync(path.join(this.#binDir, `${type}.log`), 'utf8').split('\n');
    return lines.filter(Boolean).map((line) => JSON.parse(line) as ChainCall);
  }
}
