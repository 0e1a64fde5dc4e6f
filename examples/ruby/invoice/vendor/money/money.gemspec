Gem::Specification.new do |gem|
  gem.name = 'money'
  gem.version = '1.0.0'
  gem.summary = 'Amounts of money as text; stands for any gem'
  gem.authors = ['Example']
  gem.license = 'MIT'
  gem.files = ['lib/money.rb']
end
