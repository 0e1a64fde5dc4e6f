<?php

namespace Example\Money;

final class Money
{
    public function __construct(private readonly int $cents, private readonly string $currency)
    {
    }

    public function __toString(): string
    {
        return number_format($this->cents / 100, 2) . ' ' . $this->currency;
    }
}
