/**
 * A static ELF64 executable (include/uapi/linux/elf.h) of one read-and-execute segment, little-endian, with a stack that is not executable.
 * It needs no writable segment: the only buffer lies on the stack.
 */
export function elf(machine: number, code: Uint8Array): Buffer {
  const headerSize = 64 + 2 * 56;
  const base = 0x400000;
  const header = Buffer.alloc(headerSize);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2 /* 64 bit */, 1 /* little-endian */, 1]);
  header.writeUInt16LE(2, 16); // ET_EXEC
  header.writeUInt16LE(machine, 18);
  header.writeUInt32LE(1, 20); // EV_CURRENT
  header.writeBigUInt64LE(BigInt(base + headerSize), 24); // e_entry
  header.writeBigUInt64LE(64n, 32); // e_phoff
  header.writeUInt16LE(64, 52); // e_ehsize
  header.writeUInt16LE(56, 54); // e_phentsize
  header.writeUInt16LE(2, 56); // e_phnum
  const size = headerSize + code.length;
  // 64 KiB alignment suits every page size of arm64
  programHeader(header, 64, { type: 1 /* PT_LOAD */, flags: 5 /* r-x */, address: base, size, align: 0x10000 });
  programHeader(header, 120, { type: 0x6474e551 /* PT_GNU_STACK */, flags: 6 /* rw- */, address: 0, size: 0, align: 16 });
  return Buffer.concat([header, code]);
}

interface ProgramHeader {
  type: number;
  flags: number;
  address: number;
  size: number;
  align: number;
}

/** Elf64_Phdr; the segment starts at the file's first byte. */
function programHeader(out: Buffer, at: number, header: ProgramHeader): void {
  out.writeUInt32LE(header.type, at);
  out.writeUInt32LE(header.flags, at + 4);
  [0, header.address, header.address, header.size, header.size, header.align].forEach((value, i) => {
    out.writeBigUInt64LE(BigInt(value), at + 8 + 8 * i);
  });
}
