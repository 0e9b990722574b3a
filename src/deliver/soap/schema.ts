// What the fields of the SOAP contract are made of, and the TypeScript types that follow from a table of fields.
// Takes nothing, does nothing: wsdl.ts, xml-write.ts and arguments.ts give these words their meaning.

/** The XML Schema types in use. unsignedLong is a safe integer here, dateTime is milliseconds since 1970 UTC. */
interface ScalarValues {
  string: string;
  unsignedInt: number;
  unsignedLong: number;
  boolean: boolean;
  dateTime: number;
  double: number;
  base64Binary: Buffer;
}

export type Scalar = keyof ScalarValues;

/** A type of the schema that has a name, because more than one field has it. */
export interface RecordType {
  readonly record: string;
  readonly fields: readonly Field[];
}

export interface Field {
  readonly name: string;
  readonly type: Scalar | RecordType;
  /** minOccurs=0: absent when there is nothing to say, never nil. */
  readonly optional?: true;
  /** maxOccurs=unbounded, minOccurs=0. */
  readonly many?: true;
  /** For arguments: the least and the most, of a number itself, of a text in characters. */
  readonly least?: number;
  readonly most?: number;
  readonly help: string;
  /** Optional, but one of several of which the call needs one: an example shows it. */
  readonly example?: true;
}

type ValueOf<Type> = Type extends Scalar
  ? ScalarValues[Type]
  : Type extends { readonly fields: infer Fields extends readonly Field[] }
    ? Shape<Fields>
    : never;

type MemberOf<F> = F extends { readonly type: infer Type; readonly many: true }
  ? readonly ValueOf<Type>[]
  : F extends { readonly type: infer Type }
    ? ValueOf<Type>
    : never;

/** The object that a table of fields describes. */
export type Shape<Fields extends readonly Field[]> = {
  readonly [F in Fields[number] as F extends { readonly optional: true } ? never : F['name']]: MemberOf<F>;
} & {
  readonly [F in Fields[number] as F extends { readonly optional: true } ? F['name'] : never]?: MemberOf<F>;
};
