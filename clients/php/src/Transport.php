<?php

declare(strict_types=1);

namespace Mubss\Crm;

/**
 * Calls over curl and HTTP/2. A connection does one call at a time and is kept for the next one; what a caller doesn't
 * read of a stream stays with the kernel and the server, not in memory.
 */
final class Transport
{
    private const CONNECT_SECONDS = 10;

    /** @var list<\CurlMultiHandle> connections that no call uses */
    private array $idle = [];

    /** @param array<int, mixed> $options curl's, for every call */
    private function __construct(private readonly string $base, private readonly array $options)
    {
    }

    /**
     * @param string $address "https://host:port", or "http://" on a loopback address
     * @throws \InvalidArgumentException
     */
    public static function to(string $address, ?string $caFile, ?string $certificate, ?string $key): self
    {
        if (!preg_match('~^(https?)://(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?/?$~i', $address, $found)) {
            throw new \InvalidArgumentException("address: \"$address\"; expected one like https://crm.example:50051");
        }
        $isPlain = strtolower($found[1]) === 'http';
        $isLoopback = preg_match('~^(localhost|127\.[0-9.]+|\[::1\])$~i', $found[2]) === 1;
        if ($isPlain && !$isLoopback) {
            throw new \InvalidArgumentException("address: \"$address\"; expected https: tokens go over it");
        }
        foreach (['caFile' => $caFile, 'certificate' => $certificate, 'key' => $key] as $name => $file) {
            if ($file !== null && !(is_file($file) && is_readable($file))) {
                throw new \InvalidArgumentException("$name: \"$file\"; expected a PEM file that can be read");
            }
        }
        $options = [
            CURLOPT_HTTP_VERSION => $isPlain ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_2TLS,
            CURLOPT_PROTOCOLS => $isPlain ? CURLPROTO_HTTP : CURLPROTO_HTTPS,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_PROXY => '', // whatever the environment names: few proxies pass trailers on
            CURLOPT_FORBID_REUSE => $isPlain, // curl 7.88, Debian 12's, breaks off a plain connection's second call
            CURLOPT_POST => true,
            CURLOPT_NOSIGNAL => true,
            CURLOPT_CONNECTTIMEOUT => self::CONNECT_SECONDS,
            CURLOPT_TCP_NODELAY => true,
            CURLOPT_TCP_KEEPALIVE => 1, // a stream without a deadline ends some time after its server has vanished
            CURLOPT_TCP_KEEPIDLE => 30,
            CURLOPT_TCP_KEEPINTVL => 10,
            CURLOPT_SSL_VERIFYPEER => true,
            CURLOPT_SSL_VERIFYHOST => 2,
            CURLOPT_SSLVERSION => CURL_SSLVERSION_TLSv1_2,
        ];
        if ($caFile !== null) {
            $options[CURLOPT_CAPATH] = '/dev/null'; // or else Debian's curl trusts every authority of the system as well
        }
        $files = [CURLOPT_CAINFO => $caFile, CURLOPT_SSLCERT => $certificate, CURLOPT_SSLKEY => $key];
        return new self(rtrim($address, '/'), $options + array_filter($files, 'is_string'));
    }

    /**
     * One call: its serialized answers as they come. Whoever stops reading before the end cancels it.
     *
     * @param list<string> $headers
     * @param ?int $deadlineNs by hrtime; null: none
     * @return \Generator<int, string>
     * @throws RpcException
     */
    public function exchange(
        string $path,
        string $message,
        array $headers,
        ?int $deadlineNs,
        int $maxOctets,
    ): \Generator {
        if (strlen($message) > $maxOctets) { // the server would refuse it, and curl may lose that answer while it sends
            $text = strlen($message) . " octets to send; expected at most $maxOctets (maxOctets)";
            throw new RpcException(Status::RESOURCE_EXHAUSTED, $text, isLasting: true);
        }
        $answer = new Answer($maxOctets);
        $easy = curl_init();
        curl_setopt_array($easy, $this->options + [
            CURLOPT_URL => $this->base . $path,
            CURLOPT_HTTPHEADER => [...$headers, ...self::timeout($deadlineNs)],
            CURLOPT_POSTFIELDS => Frames::of($message),
            CURLOPT_TIMEOUT_MS => $deadlineNs === null ? 0 : self::leftMs($deadlineNs),
            CURLOPT_HEADERFUNCTION => static fn ($_, string $line): int => $answer->header($line),
            CURLOPT_WRITEFUNCTION => static fn ($_, string $piece): int => $answer->body($piece),
        ]);
        $multi = array_pop($this->idle) ?? curl_multi_init();
        curl_multi_add_handle($multi, $easy);
        $errno = null;
        try {
            do {
                curl_multi_exec($multi, $running);
                foreach ($answer->take() as $one) {
                    yield $one;
                }
                if ($running && curl_multi_select($multi, 1.0) === -1) {
                    usleep(1000);
                }
            } while ($running);
            $errno = curl_multi_info_read($multi)['result'] ?? CURLE_OK;
        } finally {
            $error = curl_error($easy);
            curl_multi_remove_handle($multi, $easy);
            if ($errno === CURLE_OK) {
                $this->idle[] = $multi;
            } else {
                curl_multi_close($multi); // with its connection: the server sees that nobody reads any more
            }
        }
        $isLate = $deadlineNs !== null && hrtime(true) >= $deadlineNs;
        $failure = $answer->failure($errno, $error, $isLate);
        if ($failure !== null) {
            $failure->requestId = $answer->requestId();
            throw $failure;
        }
    }

    /** Ends the connections that no call uses. */
    public function close(): void
    {
        foreach ($this->idle as $multi) {
            curl_multi_close($multi);
        }
        $this->idle = [];
    }

    /** Milliseconds until a deadline, at least 1: 0 would mean none. */
    private static function leftMs(int $deadlineNs): int
    {
        return max(1, intdiv($deadlineNs - hrtime(true), 1_000_000));
    }

    /** @return list<string> the server's share of the deadline; its number has 8 digits at most */
    private static function timeout(?int $deadlineNs): array
    {
        if ($deadlineNs === null) {
            return [];
        }
        $ms = self::leftMs($deadlineNs);
        return ['grpc-timeout: ' . ($ms <= 99_999_999 ? "{$ms}m" : intdiv($ms, 1000) . 'S')];
    }
}
