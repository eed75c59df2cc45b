import { align4, Writer } from '../../wire/writer.ts';
import { nlmFlag } from './constants.ts';

/**
 * Netlink messages one behind the other, to be sent in one sendmsg. A message is begun, filled with the Writer's methods and ended:
 *
 *     batch.begin(RTM_NEWADDR, nlmFlag.create).u8(2)….attribute(2, (w) => w.bytes(address)); batch.end();
 *
 * Sequence numbers go up by one for each message; the socket gives the first.
 */
export class NetlinkBatch extends Writer {
  #first = 1;
  #count = 0;
  #start = -1;
  /** Place and flags of the last finished message. */
  #last = 0;
  #lastFlags = 0;
  #flags = 0;

  /** Empties the batch. @param firstSequence of the next message */
  override reset(firstSequence = 1): this {
    this.#first = firstSequence;
    this.#count = 0;
    this.#start = -1;
    return super.reset();
  }

  /** Number of messages. */
  get count(): number {
    return this.#count;
  }

  get firstSequence(): number {
    return this.#first;
  }

  get lastSequence(): number {
    return this.#first + this.#count - 1;
  }

  /**
   * Writes struct nlmsghdr; NLM_F_REQUEST is added to the flags.
   * @returns this, to write the message's own header and attributes
   */
  begin(type: number, flags = 0): this {
    if (this.#start >= 0) throw new Error('the message before was not ended');
    this.#start = this.length;
    this.#flags = flags | nlmFlag.request;
    return this.u32(0)
      .u16(type)
      .u16(this.#flags)
      .u32((this.#first + this.#count++) >>> 0)
      .u32(0);
  }

  /** Sets the length of the message and fills it up to four bytes. */
  end(): this {
    if (this.#start < 0) throw new Error('there is no message to end');
    this.patchU32(this.#start, this.length - this.#start).align();
    this.#last = this.#start;
    this.#lastFlags = this.#flags;
    this.#start = -1;
    return this;
  }

  /** Becomes a copy of another batch whose messages are all ended, with sequence numbers of its own. */
  copy(other: NetlinkBatch): this {
    this.truncate(0).bytes(other.written);
    this.#count = other.#count;
    this.#last = other.#last;
    this.#lastFlags = other.#lastFlags;
    // nlmsg_len, then type, flags and nlmsg_seq.
    for (let at = 0, i = 0; i < this.#count; at += align4(this.getU32(at)), i++) this.patchU32(at + 8, (this.#first + i) >>> 0);
    return this;
  }

  /** Takes back the message that is being written, as if it had not been begun. */
  abandon(): this {
    if (this.#start < 0) return this;
    this.truncate(this.#start);
    this.#start = -1;
    this.#count--;
    return this;
  }

  /** Bytes of the message being written, header included. */
  get messageLength(): number {
    return this.#start < 0 ? 0 : this.length - this.#start;
  }

  /** Asks for an answer to the last message, whether it succeeds or not. */
  acknowledgeLast(): this {
    if (this.#start >= 0 || this.#count === 0) throw new Error('there is no finished message to acknowledge');
    return this.patchU16(this.#last + 6, this.#lastFlags | nlmFlag.ack);
  }
}
