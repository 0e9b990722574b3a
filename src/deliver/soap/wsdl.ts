// The WSDL 1.1 document for the contract: document/literal wrapped, one schema, as WS-I Basic Profile 1.1 wants it.
// Takes the address that the client used, gives the text. Everything else comes from contract.ts.

import { namespace, operationNames, operationOf, queueFault } from './contract.ts';
import type { Field, RecordType } from './schema.ts';
import { escapeXml } from './xml-write.ts';

const documentation = (text: string): string =>
  `<xsd:annotation><xsd:documentation>${escapeXml(text)}</xsd:documentation></xsd:annotation>`;

function element(field: Field): string {
  const type = typeof field.type === 'string' ? `xsd:${field.type}` : `tns:${field.type.record}`;
  const least = field.optional || field.many ? ' minOccurs="0"' : '';
  const most = field.many ? ' maxOccurs="unbounded"' : '';
  return `<xsd:element name="${field.name}" type="${type}"${least}${most}>${documentation(field.help)}</xsd:element>`;
}

const sequence = (fields: readonly Field[]): string => `<xsd:sequence>${fields.map(element).join('')}</xsd:sequence>`;

const wrapper = (name: string, fields: readonly Field[]): string =>
  `<xsd:element name="${name}"><xsd:complexType>${sequence(fields)}</xsd:complexType></xsd:element>`;

/** The named types that fields use, each once. */
function recordsIn(fields: readonly Field[], found = new Map<string, RecordType>()): Map<string, RecordType> {
  for (const { type } of fields) {
    if (typeof type === 'string' || found.has(type.record)) continue;
    found.set(type.record, type);
    recordsIn(type.fields, found);
  }
  return found;
}

function schema(): string {
  const records = recordsIn(
    operationNames.flatMap((name) => [...operationOf(name).input, ...operationOf(name).output]),
  );
  return [
    ...[...records.values()].map(
      ({ record, fields }) => `<xsd:complexType name="${record}">${sequence(fields)}</xsd:complexType>`,
    ),
    ...operationNames.flatMap((name) => [
      wrapper(name, operationOf(name).input),
      wrapper(`${name}Response`, operationOf(name).output),
    ]),
    wrapper('QueueFault', queueFault),
  ].join('\n');
}

const message = (name: string, part: string, of = name): string =>
  `<wsdl:message name="${name}"><wsdl:part name="${part}" element="tns:${of}"/></wsdl:message>`;

const portOperation = (name: (typeof operationNames)[number]): string =>
  `<wsdl:operation name="${name}"><wsdl:documentation>${escapeXml(operationOf(name).help)}</wsdl:documentation>` +
  `<wsdl:input message="tns:${name}"/><wsdl:output message="tns:${name}Response"/>` +
  '<wsdl:fault name="QueueFault" message="tns:QueueFaultMessage"/></wsdl:operation>';

const boundOperation = (name: string): string =>
  `<wsdl:operation name="${name}"><soap:operation soapAction="${namespace}#${name}" style="document"/>` +
  '<wsdl:input><soap:body use="literal"/></wsdl:input><wsdl:output><soap:body use="literal"/></wsdl:output>' +
  '<wsdl:fault name="QueueFault"><soap:fault name="QueueFault" use="literal"/></wsdl:fault></wsdl:operation>';

/** The names of the WSDL that the SOAP library asks for. */
export const serviceName = 'Seawall';
export const portName = 'Registry';

/**
 * The whole document.
 * @param address the URL of the endpoint, as the client that asks reaches it
 */
export function wsdl(address: string): string {
  return `<?xml version="1.0" encoding="utf-8"?>
<wsdl:definitions name="${serviceName}" targetNamespace="${namespace}" xmlns:tns="${namespace}"
  xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<wsdl:types>
<xsd:schema targetNamespace="${namespace}" elementFormDefault="qualified">
${schema()}
</xsd:schema>
</wsdl:types>
${operationNames.flatMap((name) => [message(name, 'parameters'), message(`${name}Response`, 'parameters')]).join('\n')}
${message('QueueFaultMessage', 'fault', 'QueueFault')}
<wsdl:portType name="${portName}">
${operationNames.map(portOperation).join('\n')}
</wsdl:portType>
<wsdl:binding name="${portName}" type="tns:${portName}">
<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
${operationNames.map(boundOperation).join('\n')}
</wsdl:binding>
<wsdl:service name="${serviceName}">
<wsdl:port name="${portName}" binding="tns:${portName}"><soap:address location="${escapeXml(address)}"/></wsdl:port>
</wsdl:service>
</wsdl:definitions>
`;
}
