import { type Assembler, type FixupKind, le32 } from './assembler.ts';
import type { Condition, Register, Target } from './target.ts';

/** AAPCS64: x8 number, x0 first argument and result; `svc` loses no other register. x9 is this file's scratch. */
const registers: Record<Register, number> = {
  result: 0,
  a0: 0,
  a1: 1,
  a2: 2,
  a3: 3,
  a4: 4,
  a5: 5,
  s0: 19,
  s1: 20,
  s2: 21,
  s3: 22,
  s4: 23,
  s5: 24,
  stack: 31,
};
const scratch = 9;
const callNumber = 8;

/** Condition field of B.cond. */
const conditions: Record<Exclude<Condition, 'always'>, { code: number; name: string }> = {
  equal: { code: 0, name: 'b.eq' },
  'not-equal': { code: 1, name: 'b.ne' },
  negative: { code: 11, name: 'b.lt' },
  'not-positive': { code: 13, name: 'b.le' },
};

export function arm64(out: Assembler): Target {
  const name = (n: number, width: 'x' | 'w' = 'x'): string => (n === 31 ? 'sp' : `${width}${n}`);
  const word = (text: string, value: number, to?: { label: string; kind: FixupKind }): void =>
    out.instruction(text, le32(value >>> 0), to);
  const constant = (r: number, value: number): void => {
    word(`movz ${name(r)}, #${hex(value & 0xffff)}`, 0xd2800000 | ((value & 0xffff) << 5) | r);
    const high = (value >>> 16) & 0xffff;
    if (high) word(`movk ${name(r)}, #${hex(high)}, lsl 16`, 0xf2a00000 | (high << 5) | r);
  };
  /** ADD or SUB (immediate); also what moves from and to the stack pointer. */
  const addImmediate = (to: number, from: number, value: number): void => {
    const size = Math.abs(value);
    const shifted = size >= 4096;
    const operation = value < 0 ? 0xd1000000 : 0x91000000;
    word(
      `${value < 0 ? 'sub' : 'add'} ${name(to)}, ${name(from)}, #${size}`,
      operation | (shifted ? 1 << 22 : 0) | ((shifted ? size >> 12 : size) << 10) | (from << 5) | to,
    );
  };
  const move = (to: number, from: number): void =>
    from === 31 || to === 31 ? addImmediate(to, from, 0) : word(`mov ${name(to)}, ${name(from)}`, 0xaa0003e0 | (from << 16) | to);
  const supervisorCall = (comment: string): void => word(`svc #0 ; ${comment}`, 0xd4000001);

  const systemCalls = {
    socket: 198,
    setsockopt: 208,
    bind: 200,
    connect: 203,
    sendto: 206,
    recvfrom: 207,
    read: 63,
    write: 64,
    shutdown: 210,
    exit_group: 94,
  };
  const of = (r: Register): number => registers[r];
  return {
    machine: 183, // EM_AARCH64
    systemCalls,
    constant: (r, value) => constant(of(r), value),
    address: (r, label) => word(`adr ${name(of(r))}, ${label}`, 0x10000000 | of(r), { label, kind: 'arm64-adr' }),
    move: (to, from) => move(of(to), of(from)),
    add: (r, value) => addImmediate(of(r), of(r), value),
    addRegister: (to, from) =>
      word(`add ${name(of(to))}, ${name(of(to))}, ${name(of(from))}`, 0x8b000000 | (of(from) << 16) | (of(to) << 5) | of(to)),
    subtractRegister: (to, from) =>
      word(`sub ${name(of(to))}, ${name(of(to))}, ${name(of(from))}`, 0xcb000000 | (of(from) << 16) | (of(to) << 5) | of(to)),
    load8: (to, base, offset) =>
      word(`ldrb ${name(of(to), 'w')}, [${name(of(base))}, #${offset}]`, 0x39400000 | (offset << 10) | (of(base) << 5) | of(to)),
    // the unscaled form, LDUR: names in the environment are not aligned
    load32: (to, base, offset) =>
      word(`ldur ${name(of(to), 'w')}, [${name(of(base))}, #${offset}]`, 0xb8400000 | (offset << 12) | (of(base) << 5) | of(to)),
    load64: (to, base) => word(`ldr ${name(of(to))}, [${name(of(base))}]`, 0xf9400000 | (of(base) << 5) | of(to)),
    store8: (from, base, offset) =>
      word(`sturb ${name(of(from), 'w')}, [${name(of(base))}, #${offset}]`, 0x38000000 | (offset << 12) | (of(base) << 5) | of(from)),
    store32: (from, base, offset) =>
      word(`stur ${name(of(from), 'w')}, [${name(of(base))}, #${offset}]`, 0xb8000000 | (offset << 12) | (of(base) << 5) | of(from)),
    compare: (r, value) => {
      constant(scratch, value);
      word(`cmp ${name(of(r), 'w')}, ${name(scratch, 'w')}`, 0x6b00001f | (scratch << 16) | (of(r) << 5));
    },
    comparePointerWithNull: (r) => word(`cmp ${name(of(r))}, #0`, 0xf100001f | (of(r) << 5)),
    jump: (when, label) => {
      if (when === 'always') word(`b ${label}`, 0x14000000, { label, kind: 'arm64-branch26' });
      else word(`${conditions[when].name} ${label}`, 0x54000000 | conditions[when].code, { label, kind: 'arm64-branch19' });
    },
    call: (label) => word(`bl ${label}`, 0x94000000, { label, kind: 'arm64-branch26' }),
    return: () => word('ret', 0xd65f03c0),
    systemCall: (call) => {
      constant(callNumber, systemCalls[call]);
      supervisorCall(call);
    },
    systemCallIn: (r) => {
      move(callNumber, of(r));
      supervisorCall(`number in ${name(of(r))}`);
    },
  };
}

const hex = (value: number): string => (value < 10 ? String(value) : `0x${value.toString(16)}`);
