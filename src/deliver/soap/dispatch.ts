// The one place that knows the SOAP library. Takes a call that has been looked at, lets the library read it and find its
// operation, and gives the answer's envelope; throws QueueError. Answers are written by xml-write.ts: the library's own
// writer has an order and an escaping of its own. Owns the library's server.

import { AsyncLocalStorage } from 'node:async_hooks';
import { createServerless, type IServerOptions, type Server } from 'soap';
import { checkArguments } from './arguments.ts';
import { type Input, namespace, operationNames, operationOf, type OperationName, type Output } from './contract.ts';
import { type Call, plainEnvelope } from './envelope.ts';
import { QueueError } from './fault.ts';
import type { Scalar } from './schema.ts';
import { portName, serviceName, wsdl } from './wsdl.ts';
import { writeFields } from './xml-write.ts';

/** Who calls, as far as the authenticator knows. */
export interface Caller {
  /** The name of the client that logged in; empty when no clients are configured. */
  readonly owner: string;
  /** Aborts when the caller has gone: what nobody waits for is not begun. */
  readonly signal: AbortSignal;
}

/** One method for each row of the contract. */
export type Operations = {
  [Name in OperationName]: (input: Input<Name>, caller: Caller) => Promise<Output<Name>>;
};

interface Pending {
  readonly caller: Caller;
  answered: boolean;
  error?: unknown;
}

// The library would make a Date of a dateTime and lose digits of numbers: every text comes through as it is.
const asText = (text: string): string => text;
const scalars: readonly Scalar[] = ['string', 'unsignedInt', 'unsignedLong', 'boolean', 'dateTime', 'double'];
const path = '/soap';

export class SoapDispatch {
  readonly #pending = new AsyncLocalStorage<Pending>();
  readonly #operations: Operations;
  #server: Server | undefined;

  constructor(operations: Operations) {
    this.#operations = operations;
  }

  /** Lets the library read the WSDL. Call it once, before `call`. */
  async start(): Promise<void> {
    const methods = Object.fromEntries(
      operationNames.map((name) => [name, (args: unknown) => this.#answer(name, args)]),
    );
    await new Promise<void>((resolve, reject) => {
      const options: IServerOptions & { customDeserializer: Record<string, (text: string) => string> } = {
        path,
        services: { [serviceName]: { [portName]: methods } },
        xml: wsdl(`http://localhost${path}`),
        customDeserializer: Object.fromEntries(scalars.map((type) => [type, asText])),
        callback: (error: unknown) => (error instanceof Error ? reject(error) : resolve()),
      };
      createServerless(options).then((server) => (this.#server = server), reject);
    });
  }

  /**
   * Carries a call out.
   * @returns the envelope of the answer
   * @throws QueueError of the operation; any other error is ours
   */
  async call(call: Call, caller: Caller): Promise<string> {
    const pending: Pending = { caller, answered: false };
    const headers = { soapaction: `"${namespace}#${call.operation}"` };
    const answer = await this.#pending.run(pending, () =>
      this.#server?.processRequest(plainEnvelope(call), { headers }),
    );
    if (pending.error !== undefined) throw pending.error;
    if (!answer || !pending.answered) throw new Error(`the SOAP library did not carry out ${call.operation}`);
    return answer.body;
  }

  async #answer(name: OperationName, args: unknown): Promise<{ _xml: string }> {
    const pending = this.#pending.getStore();
    try {
      if (!pending) throw new Error('the SOAP library lost the context of a call');
      const method = this.#operations[name] as (input: unknown, caller: Caller) => Promise<Record<string, unknown>>;
      const output = await method.call(this.#operations, checkArguments(name, args), pending.caller);
      const inner = writeFields(operationOf(name).output, output);
      pending.answered = true;
      return { _xml: `<${name}Response xmlns="${namespace}">${inner}</${name}Response>` };
    } catch (error) {
      if (pending) pending.error = error ?? new QueueError('INTERNAL', 'An error without a name.');
      return { _xml: '<none/>' };
    }
  }
}
