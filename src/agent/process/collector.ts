import v8 from 'node:v8';
import vm from 'node:vm';

/** V8's own collection, which it names for whoever asks with its flag. */
export function collector(): (options?: { type: 'minor' | 'major' }) => void {
  v8.setFlagsFromString('--expose-gc');
  return vm.runInNewContext('gc') as (options?: { type: 'minor' | 'major' }) => void;
}
