// Package words knows how to greet.
package words

// Hello greets someone in a language.
func Hello(language, name string) string {
	greetings := map[string]string{"en": "Hello", "de": "Hallo", "fr": "Bonjour"}
	greeting, known := greetings[language]
	if !known {
		greeting = greetings["en"]
	}
	return greeting + ", " + name + "!"
}
