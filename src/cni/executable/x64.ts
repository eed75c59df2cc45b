import { type Assembler, le32 } from './assembler.ts';
import type { Condition, Register, Target } from './target.ts';

/** System V: rax number and result, rdi rsi rdx r10 r8 r9 arguments; rcx and r11 are lost by `syscall`. */
const registers: Record<Register, { number: number; name: string }> = {
  result: { number: 0, name: 'rax' },
  a0: { number: 7, name: 'rdi' },
  a1: { number: 6, name: 'rsi' },
  a2: { number: 2, name: 'rdx' },
  a3: { number: 10, name: 'r10' },
  a4: { number: 8, name: 'r8' },
  a5: { number: 9, name: 'r9' },
  s0: { number: 3, name: 'rbx' },
  s1: { number: 5, name: 'rbp' },
  s2: { number: 12, name: 'r12' },
  s3: { number: 13, name: 'r13' },
  s4: { number: 14, name: 'r14' },
  s5: { number: 15, name: 'r15' },
  stack: { number: 4, name: 'rsp' },
};

/** Second byte of the near jumps 0f 8x. */
const conditions: Record<Exclude<Condition, 'always'>, { code: number; name: string }> = {
  equal: { code: 0x84, name: 'je' },
  'not-equal': { code: 0x85, name: 'jne' },
  negative: { code: 0x8c, name: 'jl' },
  'not-positive': { code: 0x8e, name: 'jle' },
};

export function x64(out: Assembler): Target {
  const number = (r: Register): number => registers[r].number;
  const name = (r: Register): string => registers[r].name;
  /** REX prefix: W = 64-bit, R extends the reg field, B the r/m field. */
  const rex = (wide: boolean, reg: number, rm: number): number => 0x40 | (wide ? 8 : 0) | (reg >> 3 ? 4 : 0) | (rm >> 3 ? 1 : 0);
  const direct = (reg: number, rm: number): number => 0xc0 | ((reg & 7) << 3) | (rm & 7);
  /** [base + disp8]; rsp and r12 as a base need a SIB byte. */
  const memory = (reg: number, base: number, offset: number): number[] => [
    0x40 | ((reg & 7) << 3) | (base & 7),
    ...((base & 7) === 4 ? [0x24] : []),
    offset & 255,
  ];
  const registerToRegister = (text: string, opcode: number, to: Register, from: Register): void =>
    out.instruction(`${text} ${name(to)}, ${name(from)}`, [
      rex(true, number(from), number(to)),
      opcode,
      direct(number(from), number(to)),
    ]);
  const raxIs = (value: number): void => out.instruction(`mov eax, ${value}`, [0xb8, ...le32(value)]);
  const syscall = (comment: string): void => out.instruction(`syscall ; ${comment}`, [0x0f, 0x05]);

  const systemCalls = { socket: 41, setsockopt: 54, bind: 49, connect: 42, sendto: 44, recvfrom: 45, read: 0, write: 1, shutdown: 48, exit_group: 231 };
  return {
    machine: 62, // EM_X86_64
    systemCalls,
    constant: (r, value) =>
      out.instruction(`mov ${name(r)}, ${hex(value)}`, [rex(false, 0, number(r)), 0xb8 | (number(r) & 7), ...le32(value)]),
    address: (r, label) =>
      out.instruction(
        `lea ${name(r)}, [rip + ${label}]`,
        [rex(true, number(r), 0), 0x8d, 0x05 | ((number(r) & 7) << 3), 0, 0, 0, 0],
        {
          label,
          kind: 'x64-rel32',
        },
      ),
    move: (to, from) => registerToRegister('mov', 0x89, to, from),
    add: (r, value) =>
      out.instruction(`add ${name(r)}, ${value}`, [rex(true, 0, number(r)), 0x81, direct(0, number(r)), ...le32(value)]),
    addRegister: (to, from) => registerToRegister('add', 0x01, to, from),
    subtractRegister: (to, from) => registerToRegister('sub', 0x29, to, from),
    load8: (to, base, offset) =>
      out.instruction(`movzx ${name(to)}, byte [${name(base)} + ${offset}]`, [
        rex(true, number(to), number(base)),
        0x0f,
        0xb6,
        ...memory(number(to), number(base), offset),
      ]),
    load32: (to, base, offset) =>
      out.instruction(`mov ${name(to)}, dword [${name(base)} + ${offset}]`, [
        rex(false, number(to), number(base)),
        0x8b,
        ...memory(number(to), number(base), offset),
      ]),
    load64: (to, base) =>
      out.instruction(`mov ${name(to)}, qword [${name(base)}]`, [
        rex(true, number(to), number(base)),
        0x8b,
        ...memory(number(to), number(base), 0),
      ]),
    // With a REX prefix number 4 to 7 are spl to dil, not ah to bh.
    store8: (from, base, offset) =>
      out.instruction(`mov byte [${name(base)} + ${offset}], low of ${name(from)}`, [
        rex(false, number(from), number(base)),
        0x88,
        ...memory(number(from), number(base), offset),
      ]),
    store32: (from, base, offset) =>
      out.instruction(`mov dword [${name(base)} + ${offset}], low of ${name(from)}`, [
        rex(false, number(from), number(base)),
        0x89,
        ...memory(number(from), number(base), offset),
      ]),
    compare: (r, value) =>
      out.instruction(`cmp dword ${name(r)}, ${hex(value)}`, [
        rex(false, 0, number(r)),
        0x81,
        direct(7, number(r)),
        ...le32(value),
      ]),
    comparePointerWithNull: (r) => registerToRegister('test', 0x85, r, r),
    jump: (when, label) => {
      const to = { label, kind: 'x64-rel32' } as const;
      if (when === 'always') out.instruction(`jmp ${label}`, [0xe9, 0, 0, 0, 0], to);
      else out.instruction(`${conditions[when].name} ${label}`, [0x0f, conditions[when].code, 0, 0, 0, 0], to);
    },
    call: (label) => out.instruction(`call ${label}`, [0xe8, 0, 0, 0, 0], { label, kind: 'x64-rel32' }),
    return: () => out.instruction('ret', [0xc3]),
    systemCall: (call) => {
      raxIs(systemCalls[call]);
      syscall(call);
    },
    systemCallIn: (r) => {
      registerToRegister('mov', 0x89, 'result', r);
      syscall(`number in ${name(r)}`);
    },
  };
}

const hex = (value: number): string => (Math.abs(value) < 10 ? String(value) : `0x${(value >>> 0).toString(16)}`);
