/**
 * The few instructions that the executable needs, the same for each processor. `a0`-`a5` carry arguments of system calls and are lost by
 * one; `s0`-`s5` survive it; `result` is what it returns (-errno on failure) and may be the same register as `a0`.
 */
export type Register = 'a0' | 'a1' | 'a2' | 'a3' | 'a4' | 'a5' | 's0' | 's1' | 's2' | 's3' | 's4' | 's5' | 'result' | 'stack';

export type Condition = 'always' | 'equal' | 'not-equal' | 'negative' | 'not-positive';

export type SystemCall = 'socket' | 'setsockopt' | 'bind' | 'connect' | 'sendto' | 'recvfrom' | 'read' | 'write' | 'shutdown' | 'exit_group';

export interface Target {
  /** e_machine of the ELF header (include/uapi/linux/elf-em.h). */
  readonly machine: number;
  readonly systemCalls: Readonly<Record<SystemCall, number>>;
  /** register = value, zero-extended from 32 bits */
  constant(register: Register, value: number): void;
  /** register = address of the label */
  address(register: Register, label: string): void;
  move(to: Register, from: Register): void;
  /** register += value; |value| is below 4096 or a multiple of it below 16 M */
  add(register: Register, value: number): void;
  addRegister(to: Register, from: Register): void;
  subtractRegister(to: Register, from: Register): void;
  load8(to: Register, base: Register, offset: number): void;
  load32(to: Register, base: Register, offset: number): void;
  load64(to: Register, base: Register): void;
  /** memory = the low 8 bits; |offset| is below 128 */
  store8(from: Register, base: Register, offset: number): void;
  /** memory = the low 32 bits */
  store32(from: Register, base: Register, offset: number): void;
  /** compares the low 32 bits */
  compare(register: Register, value: number): void;
  /** compares all 64 bits */
  comparePointerWithNull(register: Register): void;
  jump(when: Condition, label: string): void;
  call(label: string): void;
  return(): void;
  systemCall(call: SystemCall): void;
  /** the call whose number stands in the register */
  systemCallIn(register: Register): void;
}
