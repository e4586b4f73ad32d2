/**
 * Checks the URLs of a cluster's members.
 *
 * @param endpoints - such as `https://10.0.0.1:2379` or `http://[fd00::1]:2379`
 * @param isSecure - whether certificates were given, so that plain connections would be a mistake
 * @returns the URLs without a slash at the end, each once
 * @throws {SyntaxError} If one is no such URL. The message leaves out what may be a password.
 * @throws {TypeError} If there is none, or `http` and `https` are mixed, or certificates would go unused.
 */
export function parseEndpoints(endpoints: readonly string[], isSecure: boolean): string[] {
  const parsed = [...new Set(endpoints.map(parseEndpoint))];
  if (parsed.length === 0)
    throw new TypeError("Cannot open etcd lease store: there is no endpoint, expected one or more");
  const schemes = new Set(parsed.map((endpoint) => endpoint.slice(0, endpoint.indexOf(":"))));
  if (schemes.size > 1) {
    throw new TypeError("Cannot open etcd lease store: endpoints mix http and https, expected one of them");
  }
  if (isSecure && schemes.has("http")) {
    throw new TypeError(
      "Cannot open etcd lease store: tls is given for http endpoints, expected https endpoints",
    );
  }
  return parsed;
}

const pattern = /^(https?):\/\/(\[[\da-f:.]+\]|[\w.-]+):(\d{1,5})\/?$/i;

function parseEndpoint(text: string): string {
  const [, scheme = "", host = "", port = ""] = pattern.exec(text) ?? [];
  if (scheme === "" || Number(port) > 65_535) {
    const shown = text.replace(/\/\/[^/]*@/, "//***@");
    throw new SyntaxError(
      `Cannot parse etcd endpoint: "${shown}", expected a URL such as http://127.0.0.1:2379`,
    );
  }
  return `${scheme.toLowerCase()}://${host}:${port}`;
}
