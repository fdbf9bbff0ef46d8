<?php

declare(strict_types=1);

namespace Mubss\Crm;

/** Messages as gRPC frames them: a flag, four octets of length, the message. They come in pieces of any size. */
final class Frames
{
    private const HEAD = 5;

    private string $waiting = '';

    /** @param int $maxOctets the longest message that is taken */
    public function __construct(private readonly int $maxOctets)
    {
    }

    /** A message in its frame. */
    public static function of(string $message): string
    {
        return "\0" . pack('N', strlen($message)) . $message;
    }

    /**
     * The messages that are whole with this piece. One that is too long is refused by its head, before it is kept.
     *
     * @return list<string>
     * @throws RpcException
     */
    public function feed(string $piece): array
    {
        $this->waiting .= $piece;
        $whole = [];
        $at = 0;
        while (strlen($this->waiting) - $at >= self::HEAD) {
            $flag = ord($this->waiting[$at]);
            if ($flag !== 0) {
                throw new RpcException(Status::INTERNAL, "a message with the flag $flag; expected 0: uncompressed");
            }
            $length = unpack('N', $this->waiting, $at + 1)[1];
            if ($length > $this->maxOctets) {
                $text = "a message of $length octets; expected at most $this->maxOctets (maxOctets)";
                throw new RpcException(Status::RESOURCE_EXHAUSTED, $text, isLasting: true);
            }
            if (strlen($this->waiting) - $at - self::HEAD < $length) {
                break;
            }
            $whole[] = substr($this->waiting, $at + self::HEAD, $length);
            $at += self::HEAD + $length;
        }
        $this->waiting = substr($this->waiting, $at);
        return $whole;
    }

    /** Whether part of a message has come, and its end hasn't. */
    public function isPartial(): bool
    {
        return $this->waiting !== '';
    }
}
