const parts = 8;

/**
 * Calls back when so much time has passed in which this process could have heard an answer. It passes in parts: while the machine gives the process no turn at most one of them ends, and
 * what has come meanwhile is heard before the next. A verdict on the network must not be one on the processor.
 * @returns a function that ends the waiting
 */
export function patience(timeoutMs: number, onEnd: () => void): () => void {
  let left = parts;
  let timer = setTimeout(next, timeoutMs / parts);
  function next(): void {
    if (--left === 0) onEnd();
    else timer = setTimeout(next, timeoutMs / parts);
  }
  return () => clearTimeout(timer);
}
