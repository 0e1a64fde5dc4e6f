class Money
  def initialize(cents, currency)
    @cents = cents
    @currency = currency
  end

  def to_s
    whole = (@cents / 100).to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ',')
    format('%s.%02d %s', whole, @cents % 100, @currency)
  end
end
