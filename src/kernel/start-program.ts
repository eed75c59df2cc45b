/** An argument of a system call: a number, or a text whose address is passed. */
export type CallArgument = number | string | readonly number[];

/** One system call made in the child between fork and exec. */
export interface StartCall {
  name: keyof typeof callNumbers;
  arguments: readonly CallArgument[];
  /** Its failure is not an error. */
  mayFail?: boolean;
}

/** Descriptor on which a failure is reported: 16 bytes, index of the call and its negative result, both 64-bit little-endian. */
export const statusFd = 3;

// x86-64 and arm64: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h
const callNumbers = {
  mount: [165, 40],
  unlinkat: [263, 35],
  fcntl: [72, 25],
  ioctl: [16, 29],
  prctl: [157, 167],
  setsid: [112, 157],
  setgroups: [116, 159],
  setgid: [106, 144],
  setuid: [105, 146],
  close_range: [436, 436],
} as const satisfies Record<string, readonly [number, number]>;

const base = 0x400000n;
const headerLength = 64 + 56;
const fixedLength = 8;

/** What differs between the architectures. Code never contains an address of other code except the jump to `fail`. */
interface Assembler {
  machine: number;
  column: 0 | 1;
  begin: Buffer;
  /** Loads the step's index, the arguments and the number, and calls. */
  call(step: number, number: number, values: readonly bigint[]): Buffer;
  /** execve(path, argv + 1, envp) */
  exec(step: number, path: bigint): Buffer;
  jumpLength: number;
  jumpIfFailed(distance: number): Buffer;
  fail: Buffer;
}

const u32 = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value >>> 0);
  return out;
};
const u64 = (value: bigint): Buffer => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt.asUintN(64, value));
  return out;
};
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const x64: Assembler = {
  machine: 62,
  column: 0,
  begin: hex('4889e3'), // mov rbx, rsp
  call: (step, number, values) =>
    Buffer.concat([
      hex('41bc'), // mov r12d, step
      u32(step),
      // mov rdi, rsi, rdx, r10, r8: the value
      ...values.flatMap((value, index) => [hex(['48bf', '48be', '48ba', '49ba', '49b8'][index]!), u64(value)]),
      hex('b8'), // mov eax, number
      u32(number),
      hex('0f05'), // syscall
    ]),
  exec: (step, path) =>
    Buffer.concat([
      hex('41bc'),
      u32(step),
      hex('48bf'),
      u64(path),
      hex('488d7310'), // lea rsi, [rbx + 16]
      hex('488b13'), // mov rdx, [rbx]
      hex('488d54d310'), // lea rdx, [rbx + rdx * 8 + 16]
      hex('b8 3b000000 0f05'), // execve
    ]),
  jumpLength: 9,
  // test rax, rax; js fail
  jumpIfFailed: (distance) => Buffer.concat([hex('4885c0 0f88'), u32(distance - 9)]),
  // push rax; push r12; write(3, rsp, 16); exit_group(127)
  fail: hex('50 4154 bf03000000 4889e6 ba10000000 b801000000 0f05 bf7f000000 b8e7000000 0f05'),
};

/** movz, and movk for each further 16 bits that are not zero. */
function load(register: number, value: bigint): Buffer {
  const parts = [0, 1, 2, 3].map((index) => Number((BigInt.asUintN(64, value) >> BigInt(16 * index)) & 0xffffn));
  return Buffer.concat(
    parts.flatMap((part, index) => {
      if (index > 0 && part === 0) return [];
      const operation = index === 0 ? 0xd2800000 : 0xf2800000;
      return [u32(operation + index * 0x200000 + part * 32 + register)];
    }),
  );
}
const svc = u32(0xd4000001);

const arm64: Assembler = {
  machine: 183,
  column: 1,
  begin: u32(0x910003f3), // mov x19, sp
  call: (step, number, values) =>
    Buffer.concat([load(20, BigInt(step)), ...values.map((value, index) => load(index, value)), load(8, BigInt(number)), svc]),
  exec: (step, path) =>
    Buffer.concat([
      load(20, BigInt(step)),
      load(0, path),
      u32(0x91004261), // add x1, x19, #16
      u32(0xf9400262), // ldr x2, [x19]
      u32(0x8b020e62), // add x2, x19, x2, lsl #3
      u32(0x91004042), // add x2, x2, #16
      load(8, 221n),
      svc,
    ]),
  jumpLength: 4,
  jumpIfFailed: (distance) => u32(0xb7f80000 + (distance / 4) * 32), // tbnz x0, #63
  fail: Buffer.concat([
    u32(0xa9bf03f4), // stp x20, x0, [sp, #-16]!
    load(0, 3n),
    u32(0x910003e1), // mov x1, sp
    load(2, 16n),
    load(8, 64n),
    svc,
    load(0, 127n),
    load(8, 94n),
    svc,
  ]),
};

/**
 * A static executable that makes the calls in order and then becomes `path`, with its own arguments after the first and its own environment.
 * It is what stands between fork and exec, where JavaScript cannot run: some calls must be made by the child itself, e.g. mounting a
 * /proc of its own pid namespace. A failure goes to `statusFd` and ends it with 127.
 */
export function startProgram(calls: readonly StartCall[], path: string, arch: string = process.arch): Buffer {
  const assembler = arch === 'arm64' ? arm64 : x64;
  // The data comes first, so that its addresses are known when the code is made.
  const data: Buffer[] = [];
  let dataLength = 0;
  const place = (bytes: Buffer): bigint => {
    const address = base + BigInt(headerLength + dataLength);
    const padded = Buffer.concat([bytes, Buffer.alloc((fixedLength - (bytes.length % fixedLength)) % fixedLength)]);
    data.push(padded);
    dataLength += padded.length;
    return address;
  };
  const valueOf = (argument: CallArgument): bigint => {
    if (typeof argument === 'number') return BigInt(argument);
    return place(typeof argument === 'string' ? Buffer.from(`${argument}\0`) : Buffer.concat(argument.map(u32)));
  };
  const steps = calls.map((call, step) => ({
    code: assembler.call(step, callNumbers[call.name][assembler.column], call.arguments.map(valueOf)),
    checked: !call.mayFail,
  }));
  steps.push({ code: assembler.exec(calls.length, place(Buffer.from(`${path}\0`))), checked: true });
  const length = steps.reduce((sum, step) => sum + step.code.length + (step.checked ? assembler.jumpLength : 0), 0);
  const code: Buffer[] = [assembler.begin];
  let done = 0;
  for (const step of steps) {
    code.push(step.code);
    done += step.code.length;
    if (!step.checked) continue;
    code.push(assembler.jumpIfFailed(length - done));
    done += assembler.jumpLength;
  }
  const body = Buffer.concat([...data, ...code, assembler.fail]);
  return Buffer.concat([elfHeader(assembler.machine, dataLength, body.length), body]);
}

/** elf(5): a header and one segment, readable and executable, that is the whole file. */
function elfHeader(machine: number, codeOffset: number, bodyLength: number): Buffer {
  const header = Buffer.alloc(headerLength);
  header.write('7f454c46020101', 0, 'hex');
  header.writeUInt16LE(2, 16); // ET_EXEC
  header.writeUInt16LE(machine, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(base + BigInt(headerLength + codeOffset), 24);
  header.writeBigUInt64LE(64n, 32); // program headers
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  header.writeUInt16LE(64, 58);
  header.writeUInt32LE(1, 64); // PT_LOAD
  header.writeUInt32LE(5, 68); // read, execute
  header.writeBigUInt64LE(base, 80);
  header.writeBigUInt64LE(base, 88);
  header.writeBigUInt64LE(BigInt(headerLength + bodyLength), 96);
  header.writeBigUInt64LE(BigInt(headerLength + bodyLength), 104);
  header.writeBigUInt64LE(0x10000n, 112);
  return header;
}
