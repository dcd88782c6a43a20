import { AbstractChat, type ChatState, type ChatTransport, DefaultChatTransport, type UIMessage } from "ai";

/** What `useChat` keeps for React to draw, without React. */
class PlainState implements ChatState<UIMessage> {
  status: ChatState<UIMessage>["status"] = "ready";
  error: Error | undefined = undefined;
  messages: UIMessage[] = [];
  pushMessage = (message: UIMessage) => {
    this.messages = [...this.messages, message];
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index: number, message: UIMessage) => {
    this.messages = this.messages.with(index, structuredClone(message));
  };
  snapshot = <T>(thing: T): T => structuredClone(thing);
}

/** The chat that `useChat` drives. */
export class TestChat extends AbstractChat<UIMessage> {
  constructor(transport: ChatTransport<UIMessage>) {
    super({ transport, state: new PlainState(), onError: () => {} });
  }

  /** The text of the last message, where that is an answer. */
  lastText(): string {
    const last = this.messages.at(-1);
    if (last?.role !== "assistant") return "";
    return last.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  }
}

/** The transport that `useChat` has by itself, to this server. */
export const transportTo = ({ baseURL, key, body }: { baseURL: string; key: string; body: object }) =>
  new DefaultChatTransport({ api: `${baseURL}/chat/ui`, headers: { authorization: `Bearer ${key}` }, body });
